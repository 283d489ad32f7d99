import { run } from "../common.js";

run("webpack");
