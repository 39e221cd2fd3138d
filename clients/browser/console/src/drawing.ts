// What draws the charts: a file of its own, which the two pages with charts load when they are shown.
export { default } from "uplot";
