/** A socket whose code comes later. */

import { expect, it } from "vitest";
import { LateSocket } from "../src/late.js";
import { rest } from "./clock.js";
import { FakeServer, FakeSocket } from "./server.js";

it("is open when the other one is, says what it hears, and passes on what is said", async () => {
  const inner = new FakeSocket(new FakeServer(), "u", []);
  const late = new LateSocket(async () => inner);
  const seen: unknown[] = [];
  late.onopen = () => seen.push("open");
  late.onmessage = ({ data }) => seen.push(data);
  late.onclose = ({ code }) => seen.push(code);
  await rest();
  late.send(JSON.stringify({ type: "x" }));
  inner.tellText("hello");
  inner.shut(4501);
  expect(seen).toEqual(["open", "hello", 4501]);
  expect([late.readyState, inner.received]).toEqual([3, [{ type: "x" }]]);
});

it("ends where the file cannot be had, as a socket that does not open", async () => {
  const late = new LateSocket(() => Promise.reject(new TypeError("Failed to fetch dynamically imported module")));
  const codes: number[] = [];
  late.onclose = ({ code }) => codes.push(code);
  await rest();
  expect(codes).toEqual([1006]);
});

it("closed before it was there, it closes what comes and says nothing", async () => {
  const inner = new FakeSocket(new FakeServer(), "u", []);
  const late = new LateSocket(async () => inner);
  const codes: number[] = [];
  late.onclose = ({ code }) => codes.push(code);
  late.close();
  await rest();
  expect([inner.readyState, codes]).toEqual([3, []]);
});
