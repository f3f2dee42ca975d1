// Opens report pages in a headless Chromium, at several widths, light and dark, and says what is
// wrong with them.
//
// usage: open_page.mjs CHROMIUM PICTURES PAGE...
//
// Prints one JSON object: for each page its faults and what a test may want to look at. Pictures
// are written to the directory PICTURES, unless it is "-".

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";

import { chromium } from "playwright-core";

const WIDTHS = [320, 768, 1600];
const [executablePath, pictures, ...pages] = process.argv.slice(2);

// Run in the page: what a reader would see.
function look() {
  const root = document.documentElement;
  const visible = (element) => element.checkVisibility({ checkOpacity: true });
  const overflow = root.scrollWidth > root.clientWidth;
  // Looked for only where there are any: it takes long in a page of thousands of rows.
  const wide = (overflow ? [...document.body.querySelectorAll("*")] : [])
    .filter((element) => visible(element) && !element.closest(".skip, .scroll, pre, nav ul"))
    .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
    .map((element) => `${element.tagName}.${element.className}`);

  // Contrast after WCAG 2.2, of text on the nearest background that is not transparent.
  const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    paint.clearRect(0, 0, 1, 1);
    paint.fillStyle = color;
    paint.fillRect(0, 0, 1, 1);
    return [...paint.getImageData(0, 0, 1, 1).data];
  };
  const over = (top, below) =>
    [0, 1, 2].map((at) => (top[at] * top[3] + below[at] * (255 - top[3])) / 255);
  const background = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      layers.push(rgba(getComputedStyle(at).backgroundColor));
      if (layers.at(-1)[3] === 255) break;
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const luminance = (color) => {
    const [r, g, b] = color.map((part) => {
      const value = part / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const faint = new Set();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let seen = 0; texts.nextNode() && seen < 1500; seen += 1) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !visible(element)) continue;
    const below = background(element);
    const ink = over(rgba(getComputedStyle(element).color), below);
    const [light, dark] = [luminance(ink), luminance(below)].sort((a, b) => b - a);
    const contrast = (light + 0.05) / (dark + 0.05);
    if (contrast < 4.5) faint.add(`${element.tagName}.${element.className} ${contrast.toFixed(2)}`);
  }

  const levels = [...document.querySelectorAll("h1, h2, h3, h4")].map((heading) => +heading.tagName[1]);
  return {
    overflow,
    wide: [...new Set(wide)].slice(0, 5),
    faint: [...faint].slice(0, 5),
    paper: getComputedStyle(document.body).backgroundColor,
    ink: getComputedStyle(document.body).color,
    scripts: document.scripts.length,
    foreign: document.querySelectorAll("img, iframe, object, embed, link, video, audio, form, [onerror], [onload]").length,
    jumps: levels.some((level, at) => at > 0 && level > levels[at - 1] + 1) || levels[0] !== 1,
    headless: [...document.querySelectorAll("table")].filter((table) => !table.querySelector("thead th[scope=col]")).length,
    lost: [...document.querySelectorAll("a[href^='#']")].filter((a) => !document.getElementById(a.hash.slice(1))).length,
  };
}

const profile = mkdtempSync(join(tmpdir(), "page-"));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath,
  headless: true,
  viewport: { width: WIDTHS[0], height: 900 },
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-quic",
    "--no-first-run",
  ],
});
const seen = {};
try {
  for (const file of pages) {
    const faults = [];
    const page = await browser.newPage();
    page.on("console", (message) => faults.push(`console: ${message.text()}`));
    page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
    page.on("dialog", async (dialog) => {
      faults.push(`dialog: ${dialog.message()}`);
      await dialog.dismiss();
    });
    const address = pathToFileURL(file).href;
    page.on("request", (request) => {
      if (request.url() !== address) faults.push(`request: ${request.url()}`);
    });
    const began = Date.now();
    await page.goto(address, { waitUntil: "load" });
    const loaded = Date.now() - began;
    // What is folded is looked at too, unless it is thousands of rows.
    const rows = await page.evaluate(() => {
      const rows = document.querySelectorAll("li.file").length;
      if (rows < 500) for (const details of document.querySelectorAll("details")) details.open = true;
      return rows;
    });
    const looks = [];
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme, media: "screen" });
      for (const width of WIDTHS) {
        await page.setViewportSize({ width, height: 900 });
        const found = await page.evaluate(look);
        const where = `${width} px, ${colorScheme}`;
        if (found.overflow) faults.push(`${where}: the page is wider: ${found.wide.join(", ")}`);
        if (found.faint.length > 0) faults.push(`${where}: too little contrast: ${found.faint.join(", ")}`);
        looks.push({ width, colorScheme, ...found });
        if (pictures !== "-") {
          const name = `${basename(file, ".html")}-${width}-${colorScheme}.png`;
          await page.screenshot({ path: join(pictures, name), fullPage: rows < 500 });
        }
      }
    }
    // The first key leads past the navigation, and what is in focus can be seen.
    await page.keyboard.press("Tab");
    const focus = await page.evaluate(() => {
      const box = document.activeElement.getBoundingClientRect();
      return document.activeElement.className === "skip" && box.left >= 0;
    });
    if (!focus) faults.push("the first key does not lead to the link past the navigation");
    await page.emulateMedia({ media: "print" });
    const printed = await page.evaluate(() => getComputedStyle(document.querySelector("nav")).display);
    if (printed !== "none") faults.push("the navigation is printed");
    const text = await page.evaluate(() =>
      ["header", "main"].map((name) => document.querySelector(name).textContent).join("\n"));
    seen[file] = { faults, loaded, looks, title: await page.title(), text };
    await page.close();
  }
} finally {
  await browser.close();
  rmSync(profile, { recursive: true, force: true });
}
console.log(JSON.stringify(seen));
