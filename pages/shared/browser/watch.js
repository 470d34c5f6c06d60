// What only the browser can do for every page. Runs at each rerun of the script and at each change
// of theme; draws nothing.
export default function ({ parentElement, data, setStateValue, setTriggerValue }) {
    const host = parentElement.host ?? parentElement;
    const page = getComputedStyle(host).getPropertyValue("--st-background-color");
    if (page && page.trim().toLowerCase() !== data.page) setTriggerValue("changed", page);
    if (data.again) setTriggerValue("again", true);
    const phone = window.matchMedia("(max-width: 640px)");
    const tell = () => {
        if (phone.matches !== data.narrow) setStateValue("narrow", phone.matches);
    };
    tell();
    keepOneEntryAPage();
    const heard = [
        [phone, "change", tell],
        [document, "keydown", rove],
        [window, "beforeprint", fitToPaper],
        [window, "afterprint", fitToWindow],
    ];
    for (const [place, event, answer] of heard) place.addEventListener(event, answer);
    return () => {
        for (const [place, event, answer] of heard) place.removeEventListener(event, answer);
    };
}

// Streamlit pushes an entry of the browser's history for each value that the script writes into
// the address, and first an empty one where the script leads to another page: Back would take a
// press for each. Here a page is one entry, with the address that it was left with.
function keepOneEntryAPage() {
    window.labEmptied = null;
    if (window.labPush) return;
    window.labPush = history.pushState.bind(history);
    history.pushState = (state, title, url) => {
        const to = new URL(url, location.href);
        if (to.pathname === location.pathname) {
            window.labEmptied = to.search ? null : location.href;
            history.replaceState(state, title, url);
        } else {
            if (window.labEmptied) history.replaceState(state, title, window.labEmptied);
            window.labPush(state, title, url);
        }
    };
}

// Within a group of many small stops (the bytes of a block, the tokens of a text) arrows move the
// focus: by one, by one line, to either end.
function rove(event) {
    const group = event.target.closest?.("[data-rove]");
    if (!group || event.altKey || event.ctrlKey || event.metaKey) return;
    const stops = [...group.querySelectorAll("[tabindex]")];
    const next = stops[nextStop(event.key, stops, stops.indexOf(event.target))];
    if (!next) return;
    event.preventDefault();
    if (group.dataset.rove === "one") {
        event.target.tabIndex = -1;
        next.tabIndex = 0;
    }
    next.focus();
}

function nextStop(key, stops, at) {
    if (key === "ArrowRight") return at + 1;
    if (key === "ArrowLeft") return at - 1;
    if (key === "Home") return 0;
    if (key === "End") return stops.length - 1;
    if (key !== "ArrowDown" && key !== "ArrowUp") return -1;
    const boxes = stops.map((stop) => stop.getBoundingClientRect());
    const { top, left } = boxes[at], way = key === "ArrowDown" ? 1 : -1;
    const lines = boxes.map((box) => way * (box.top - top)).filter((below) => below > 1);
    const line = top + way * Math.min(...lines);
    const aside = boxes.map((box) => (Math.abs(box.top - line) < 1 ? Math.abs(box.left - left) : Infinity));
    return lines.length ? aside.indexOf(Math.min(...aside)) : -1;
}

// A chart has the width of the window, which paper has not: while it is printed, its drawing scales.
function fitToPaper() {
    for (const paper of document.querySelectorAll(".js-plotly-plot .main-svg")) {
        const { width, height } = paper.getBoundingClientRect();
        paper.setAttribute("viewBox", `0 0 ${width} ${height}`);
        paper.closest(".js-plotly-plot").style.setProperty("--lab-ratio", `${width} / ${height}`);
        paper.closest(".js-plotly-plot").style.setProperty("--lab-width", `${width}px`);
    }
}

function fitToWindow() {
    for (const paper of document.querySelectorAll(".js-plotly-plot .main-svg")) {
        paper.removeAttribute("viewBox");
    }
}
