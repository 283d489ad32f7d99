// Makes `world.tsv`: a line for each country with its ISO 3166-1 code, its English and German names and its outline.
//
//   npm install world-atlas@2.0.2 topojson-client@3.1.0 topojson-simplify@3.0.3 d3-geo@3.1.2
//   node make_world.mjs > world.tsv
//
// Outlines are those of Natural Earth (1:50 million, public domain), as world-atlas packs them, made simpler and drawn in
// the Natural Earth projection on a ground of 1000 by 460 points; a country too small for an outline is a place, `x,y`.
// Antarctica is left out. Names are those of Unicode's CLDR as Node knows them.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { geoNaturalEarth1, geoPath } from "d3-geo";
import { feature } from "topojson-client";
import { presimplify, simplify } from "topojson-simplify";

const atlas = createRequire(import.meta.url).resolve("world-atlas/countries-50m.json");
const world = simplify(presimplify(JSON.parse(readFileSync(atlas, "utf8"))), 0.3);
const projection = geoNaturalEarth1().rotate([-11, 0]).scale(181).translate([490, 262]);
const path = geoPath(projection).digits(0);
const exact = geoPath(projection);

const names = Object.fromEntries(["en", "de"].map((language) => [language, new Intl.DisplayNames([language], { type: "region", fallback: "none" })]));
const plain = (name) => name.replace("&", "and").normalize("NFD").replace(/[^a-zA-Z]/g, "").toLowerCase();
const codes = new Map();
for (const a of "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
  for (const b of "ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
    // Codes of countries that are no more have the name of those that are.
    const is = new Intl.Locale(`und-${a}${b}`).region === a + b;
    const name = is && names.en.of(a + b);
    if (name && !codes.has(plain(name))) codes.set(plain(name), a + b);
  }
// What Natural Earth abbreviates or calls otherwise.
const OTHERS = { "W. Sahara": "EH", "United States of America": "US", "Dem. Rep. Congo": "CD", "Dominican Rep.": "DO", "Falkland Is.": "FK", "Fr. S. Antarctic Lands": "TF",
  "Côte d'Ivoire": "CI", "Central African Rep.": "CF", Congo: "CG", "Eq. Guinea": "GQ", eSwatini: "SZ", Palestine: "PS", Myanmar: "MM", "Solomon Is.": "SB", Taiwan: "TW",
  Czechia: "CZ", "Bosnia and Herz.": "BA", Macedonia: "MK", "S. Sudan": "SS", "Turks and Caicos Is.": "TC", "Cayman Is.": "KY", "Br. Indian Ocean Ter.": "IO",
  "Marshall Is.": "MH", "N. Mariana Is.": "MP", "U.S. Virgin Is.": "VI", "British Virgin Is.": "VG", "Cook Is.": "CK", "St. Kitts and Nevis": "KN", "St. Vin. and Gren.": "VC",
  "St. Pierre and Miquelon": "PM", "Saint Lucia": "LC", "St-Martin": "MF", "St-Barthélemy": "BL", "Sint Maarten": "SX", "Saint Helena": "SH", "Wallis and Futuna Is.": "WF",
  "Fr. Polynesia": "PF", "Antigua and Barb.": "AG", "São Tomé and Principe": "ST", "Faeroe Is.": "FO", "Hong Kong": "HK", Macao: "MO", Åland: "AX", "Pitcairn Is.": "PN",
  "Heard I. and McDonald Is.": "HM", "S. Geo. and the Is.": "GS", Vatican: "VA", "Cabo Verde": "CV", Turkey: "TR" };

/** Steps from point to point, without points that are the same. */
function steps(drawn) {
  let out = "";
  for (const ring of (drawn ?? "").split("M").filter(Boolean)) {
    const points = ring.replace("Z", "").split("L").map((point) => point.split(",").map(Number));
    const kept = points.filter(([x, y], at) => at === 0 || x !== points[at - 1][0] || y !== points[at - 1][1]);
    const [first, last] = [kept[0], kept.at(-1)];
    if (kept.length > 1 && first[0] === last[0] && first[1] === last[1]) kept.pop();
    if (kept.length < 3) continue;
    const moves = kept.slice(1).map(([x, y], at) => `${x - kept[at][0]} ${y - kept[at][1]}`);
    out += `M${first[0]} ${first[1]}l${moves.join(" ").replaceAll(" -", "-")}z`;
  }
  return out;
}

const lines = [];
const unknown = [];
for (const geometry of world.objects.countries.geometries) {
  const { name } = geometry.properties;
  const code = OTHERS[name] ?? codes.get(plain(name));
  if (!code) { unknown.push(name); continue; }
  if (code === "AQ") continue;
  const country = feature(world, geometry);
  const outline = exact.area(country) > 6 ? steps(path(country)) : "";
  const place = exact.centroid(country).map(Math.round).join(",");
  if (!outline && place.includes("NaN")) { unknown.push(name + " has no place"); continue; }
  lines.push([code, names.en.of(code), names.de.of(code), outline || place].join("\t"));
}
process.stdout.write([...new Set(lines)].sort().join("\n") + "\n");
process.stderr.write(`without a code: ${unknown.join(", ")}\n`);
