// Fan-out with the package `ws`: node fanout_ws.cjs PORT FOLDER, where FOLDER has node_modules/ws.
const { createRequire } = require("node:module");
const path = require("node:path");

const [port, folder] = process.argv.slice(2);
const { WebSocketServer, WebSocket } = createRequire(path.join(folder, "here.js"))("ws");
const server = new WebSocketServer({ port: Number(port), host: "127.0.0.1", perMessageDeflate: false, clientTracking: true });

server.on("connection", (socket) => {
  socket.on("message", (data) => {
    const text = data.toString();
    for (const reader of server.clients) if (reader.readyState === WebSocket.OPEN) reader.send(text);
  });
});
server.on("listening", () => process.stdout.write("listening\n"));
