import { mount } from "svelte";

import { run } from "../common.js";
import App from "./App.svelte";

mount(App, { target: document.getElementById("app") });
run("esbuild");
