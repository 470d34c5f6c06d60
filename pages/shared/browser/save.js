// Saves the chart above the two small buttons as a picture that stands by itself: the finding is
// its title, below stands its source, and it brings the page's fonts. It never leaves the browser.
const NS = "http://www.w3.org/2000/svg";
const EDGE = 16; // pixels around the chart
const TITLE = { size: 18, weight: 600, leading: 1.3 };
const SOURCE = { size: 12, weight: 400, leading: 1.4 };
const UNSEEN = ".hoverlayer, .draglayer, .zoomlayer, .selectionlayer";
const SCALE = 2; // pixels of a PNG to one of the page

export default function ({ parentElement, data }) {
    const host = parentElement.host ?? parentElement;
    for (const button of parentElement.querySelectorAll(".lab-save button")) {
        const format = button.dataset.format;
        button.ariaLabel = `Save the chart “${data.name}” as ${format.toUpperCase()}`;
        button.onclick = async () => {
            const frame = host.closest(`.st-key-${data.frame}`);
            const chart = frame?.querySelector(".js-plotly-plot");
            if (!chart) return;
            const svg = await drawn(chart, findingAbove(frame), data);
            download(format === "svg" ? svg : await asPng(svg), `${data.name}.${format}`);
        };
    }
}

function findingAbove(frame) {
    const precedes = (head) =>
        head.compareDocumentPosition(frame) & Node.DOCUMENT_POSITION_FOLLOWING;
    return [...document.querySelectorAll("h2")].filter(precedes).at(-1)?.innerText ?? "";
}

// The chart as it stands on the page, between its title and its source.
async function drawn(chart, title, { source, ink, quiet, page, family }) {
    const papers = [...chart.querySelectorAll(".main-svg")];
    const { width, height } = papers[0].getBoundingClientRect();
    const head = written(title, TITLE, ink, family, width);
    const foot = written(source, SOURCE, quiet, family, width);
    const top = EDGE + head.height + EDGE / 2;
    const size = {
        width: width + 2 * EDGE,
        height: top + height + EDGE / 2 + foot.height + EDGE,
    };
    const svg = make("svg", { ...size, viewBox: `0 0 ${size.width} ${size.height}` });
    svg.setAttribute("text-rendering", "geometricPrecision"); // a PNG has more pixels than the page
    svg.append(make("rect", { ...size, fill: page }), at(head.group, EDGE));
    for (const paper of papers) {
        const copy = paper.cloneNode(true);
        for (const layer of copy.querySelectorAll(UNSEEN)) layer.remove();
        // A label may reach over the edge of the chart: there is room.
        copy.setAttribute("style", "overflow: visible");
        for (const [name, value] of Object.entries({ x: EDGE, y: top, width, height })) {
            copy.setAttribute(name, value);
        }
        svg.append(copy);
    }
    svg.append(at(foot.group, top + height + EDGE / 2));
    const text = new XMLSerializer().serializeToString(svg);
    const style = make("style", {}, await fonts(text));
    svg.prepend(style);
    return new Blob([new XMLSerializer().serializeToString(svg)], { type: "image/svg+xml" });
}

function make(name, attributes, text = "") {
    const element = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.textContent = text;
    return element;
}

function at(group, y) {
    group.setAttribute("transform", `translate(${EDGE}, ${y})`);
    return group;
}

// Words broken into lines no longer than `width`.
function written(words, { size, weight, leading }, fill, family, width) {
    const pen = document.createElement("canvas").getContext("2d");
    pen.font = `${weight} ${size}px ${family}`;
    const lines = [];
    for (const word of words.split(" ").filter(Boolean)) {
        const longer = lines.length ? `${lines.at(-1)} ${word}` : word;
        if (lines.length && pen.measureText(longer).width <= width) lines.splice(-1, 1, longer);
        else lines.push(word);
    }
    const look = { "font-family": family, "font-size": size, "font-weight": weight, fill };
    const group = make("g", look);
    lines.forEach((line, i) => group.append(make("text", { y: (i + 0.8) * leading * size }, line)));
    return { group, height: lines.length * leading * size };
}

// The upright faces of the page whose family the picture names, each with its file inside.
async function fonts(text) {
    const faces = [];
    for (const sheet of document.styleSheets) {
        for (const rule of sheet.cssRules) {
            if (!(rule instanceof CSSFontFaceRule) || rule.style.fontStyle === "italic") continue;
            const family = rule.style.fontFamily.replaceAll(/["']/g, "");
            if (!text.includes(family)) continue;
            const url = rule.style.getPropertyValue("src").match(/url\(["']?([^"')]+)/)[1];
            const file = await (await fetch(new URL(url, sheet.href ?? document.baseURI))).blob();
            const weight = rule.style.fontWeight || "normal";
            faces.push(`@font-face {font-family: "${family}"; font-weight: ${weight};
                src: url(${await asUrl(file)}) format("woff2")}`);
        }
    }
    return faces.join("\n");
}

function asUrl(blob) {
    return new Promise((done) => {
        const reader = new FileReader();
        reader.onload = () => done(reader.result);
        reader.readAsDataURL(blob);
    });
}

async function asPng(svg) {
    const image = new Image();
    image.src = URL.createObjectURL(svg);
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = SCALE * image.width;
    canvas.height = SCALE * image.height;
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    URL.revokeObjectURL(image.src);
    return new Promise((done) => canvas.toBlob(done, "image/png"));
}

function download(blob, name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
