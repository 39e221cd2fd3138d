import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    environment: "node",
    include: ["test/**/*.test.ts", "console/test/**/*.test.ts"],
    restoreMocks: true,
    testTimeout: 5000,
    // Two cores are shared with the Python tests; more workers only slow both down.
    maxWorkers: 2,
  },
});
