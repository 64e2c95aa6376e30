"use strict";
// NNI's page as our server gives it to browsers. What is mended, and why:
// - It loads fonts and icons from a CDN: fonts are the browser's, icons are characters of common fonts (icons.json), and
//   a content security policy keeps the browser from contacting anyone.
// - It asks for trials and for their results at the same time; where results of a new trial come first, it goes blank
//   ("Cannot read properties of undefined (reading 'trialJobId')"). Here it asks for one after the other, and leaves
//   results of trials that it does not know for the next time. Texts to replace are those of NNI 3.0.

const crypto = require("crypto");
const fs = require("fs");
const path = require("path");

const STATIC = path.join(process.cwd(), "static");
const SCRIPTS = "/static/js";
const REPAIRS = [
  ["async updateInfo(){let e=!1;return(0,i.b6)(", "async updateInfo(){let e=!1;return await(0,i.b6)("],
  [
    "const[t,r]=await Promise.all([this.updateInfo(),this.updateMetrics(e)]);",
    "const[t,r]=[await this.updateInfo(),await this.updateMetrics(e)];",
  ],
  ["(this.trials.set(n,new p(void 0,a)),r=!0)", "0"],
];

function mendedScript(text) {
  for (const [fault, remedy] of REPAIRS) {
    if (text.split(fault).length !== 2) {
      throw new Error(`page.js: expected the page of NNI 3.0, got one without ${fault}`);
    }
    text = text.replace(fault, () => remedy);
  }
  return text;
}

function ownIcons() {
  const icons = JSON.parse(fs.readFileSync(path.join(__dirname, "icons.json"), "utf8"));
  const rules = Object.entries(icons).map(([name, text]) => `i[data-icon-name="${name}"]::before{content:"${text}"}`);
  return [
    "i[data-icon-name]{font-family:sans-serif!important;font-size:0!important;font-style:normal}",
    'i[data-icon-name]::before{font-size:15px;content:"\\2022"}',
    ...rules,
  ].join("");
}

function hashOf(script) {
  return `'sha256-${crypto.createHash("sha256").update(script).digest("base64")}'`;
}

const ADDED = `<script>window.FabricConfig={fontBaseUrl:"",iconBaseUrl:"data:,#"}</script><style>${ownIcons()}</style>`;
const PAGE = fs.readFileSync(path.join(STATIC, "index.html"), "utf8").replace("<head>", () => `<head>${ADDED}`);
const inline = [...PAGE.matchAll(/<script>([\s\S]*?)<\/script>/g)].map(([, script]) => hashOf(script));
const POLICY = [
  "default-src 'self'",
  `script-src 'self' ${inline.join(" ")}`,
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "font-src 'self' data:",
  "worker-src 'self' blob:",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

const folder = path.join(STATIC, "static", "js");
const main = fs.readdirSync(folder).find((name) => /^main\.\w+\.js$/.test(name));
if (main === undefined) {
  throw new Error("page.js: expected the page of NNI 3.0, got none");
}
const MAIN = ["text/javascript; charset=utf-8", mendedScript(fs.readFileSync(path.join(folder, main), "utf8"))];
const HTML = ["text/html; charset=utf-8", PAGE];
const PAGES = ["/", "/oview", "/detail", "/experiment", "/index.html"];
const FILES = new Map([[`${SCRIPTS}/${main}`, MAIN], ...PAGES.map((place) => [place, HTML])]);

// The kind and the text of what is given in another form than NNI has it; undefined for everything else.
function repaired(place) {
  return FILES.get(place);
}

module.exports = { POLICY, repaired };
