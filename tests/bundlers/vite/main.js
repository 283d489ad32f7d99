import { createTallymark } from "@tallymark/web/vue";
import { createApp } from "vue";

import { run, settings } from "../common.js";
import App from "./App.vue";

window.isStarted = true;
createApp(App).use(createTallymark({ ...settings(), errors: true })).mount("#app");
run("vite");
