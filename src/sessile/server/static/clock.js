/* Sessile browser client. Apache-2.0. Built from clients/browser; do not edit. */
"use strict";(()=>{var e=globalThis;e.onmessage=({data:[s,a]})=>{setTimeout(()=>e.postMessage(s),a)};})();
