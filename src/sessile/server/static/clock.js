/* Sessile browser client. Apache-2.0. Built from clients/browser; do not edit. */
"use strict";(()=>{var s=globalThis;s.onmessage=({data:[a,e]})=>{setTimeout(()=>s.postMessage(a),e)};})();
