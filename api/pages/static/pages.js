// What the pages do beyond links and forms. Everything hangs on data attributes; nothing is evaluated.

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const lang = document.documentElement.lang;
const moment = new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeStyle: "short" });
const clock = new Intl.DateTimeFormat(lang, { timeStyle: "short" });

// ---- times: local zone, countdowns

function showTimes() {
  const now = Date.now();
  for (const element of $$("time[data-local]")) {
    const text = (element.dataset.local === "time" ? clock : moment).format(new Date(element.dateTime));
    if (element.textContent !== text) element.textContent = text;
  }
  for (const element of $$("time[data-countdown]")) {
    const seconds = Math.round((new Date(element.dateTime).getTime() - now) / 1000);
    const text = seconds < 0 ? `${element.dataset.over} ${span(-seconds)}` : span(seconds);
    if (element.textContent !== text) element.textContent = text;
    element.classList.toggle("over", seconds < 0);
  }
}

function span(seconds) {
  const hours = Math.floor(seconds / 3600);
  const two = (number) => String(number).padStart(2, "0");
  const rest = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  const days = () => document.body.dataset.days.replace("{days}", Math.floor(hours / 24)).replace("{hours}", hours % 24);
  return hours >= 48 ? days() : `${two(hours)}:${rest}`;
}

// ---- uploads: a whole claim in one request, with its progress

const chosen = new WeakMap(); // file input -> File[]; choosing again adds to what is there

function fileInputs(form) {
  return $$("input[type=file]", form);
}

function takeFiles(input) {
  const form = input.form;
  const files = chosen.get(input) ?? [];
  const limit = Number(form.dataset.fileBytesMax);
  let problem = "";
  for (const file of input.files) {
    if (file.size > limit) problem = form.dataset.tooLarge.replace("{name}", file.name);
    else if (!files.some((other) => other.name === file.name && other.size === file.size)) files.push(file);
  }
  const count = fileInputs(form).reduce((sum, one) => sum + (one === input ? files : chosen.get(one) ?? []).length, 0);
  if (count > Number(form.dataset.filesMax)) {
    problem = form.dataset.tooMany;
    files.length = Math.max(0, files.length - (count - Number(form.dataset.filesMax)));
  }
  setFiles(input, files);
  say(form, problem);
}

function setFiles(input, files) {
  chosen.set(input, files);
  const transfer = new DataTransfer();
  for (const file of files) transfer.items.add(file);
  input.files = transfer.files; // so that `required` knows
  const list = input.parentElement.querySelector(".thumbs");
  for (const image of $$("img", list)) URL.revokeObjectURL(image.src);
  list.replaceChildren(...files.map((file) => thumb(input, file)));
}

function thumb(input, file) {
  const item = document.createElement("li");
  const picture = document.createElement(file.type.startsWith("image/") ? "img" : "span");
  if (picture instanceof HTMLImageElement) {
    picture.src = URL.createObjectURL(file);
    picture.alt = file.name;
    // Most browsers cannot show a HEIC photo.
    picture.addEventListener("error", () => {
      const name = document.createElement("span");
      name.textContent = file.name;
      picture.replaceWith(name);
    });
  } else picture.textContent = file.name;
  const remove = document.createElement("button");
  remove.type = "button";
  remove.textContent = "×";
  remove.setAttribute("aria-label", input.form.dataset.remove.replace("{name}", file.name));
  remove.addEventListener("click", () => setFiles(input, chosen.get(input).filter((other) => other !== file)));
  item.append(picture, remove);
  return item;
}

function say(form, text) {
  const failure = $(".failure", form);
  failure.textContent = text;
  failure.hidden = !text;
  if (text) failure.scrollIntoView({ block: "nearest" });
}

// ---- amounts: the server reads them, in the currency's own decimals; here is only shown how they were understood

async function readAmount(input) {
  const query = new URLSearchParams({ typed: input.value, currency: input.dataset.amount });
  const answer = await fetch(`/amounts?${query}`, { headers: { Accept: "application/json", "Accept-Language": lang } });
  const read = await answer.json();
  if (read.href) location.assign(read.href);
  return read;
}

async function showAmount(input) {
  const shown = $(`#${input.id}-read`);
  const typed = input.value;
  if (!shown) return undefined;
  const read = typed.trim() ? await readAmount(input) : { text: "" };
  if (input.value !== typed) return read; // typed on meanwhile
  const wrong = read.minor === undefined && read.code !== undefined;
  shown.textContent = wrong ? `${read.message} (${read.code})` : read.text;
  shown.classList.toggle("bad-text", wrong);
  input.setAttribute("aria-invalid", String(wrong));
  return read;
}

// The amounts of a form by the names of their fields, in minor units; undefined where one cannot be read.
async function amountsOf(form) {
  const amounts = {};
  for (const input of $$("[data-amount]", form)) {
    if (!input.value.trim() && !input.required) continue;
    const read = await readAmount(input);
    if (read.minor === undefined) {
      say(form, `${read.message} (${read.code})`);
      showAmount(input);
      input.focus();
      return undefined;
    }
    amounts[input.name] = read.minor;
  }
  return amounts;
}

document.addEventListener("change", (event) => {
  if (event.target.matches?.("[data-amount]")) showAmount(event.target).catch(() => {});
});

function deviceId() {
  let id = localStorage.getItem("miaopei-device");
  if (!id) {
    id = `web-${Array.from(crypto.getRandomValues(new Uint8Array(9)), (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
    localStorage.setItem("miaopei-device", id);
  }
  return id;
}

function claimPart(form, amounts) {
  const value = (name) => form.elements[name]?.value ?? "";
  return {
    policy_id: form.dataset.policy,
    product: form.dataset.product,
    peril: value("peril"),
    amount_minor: amounts.amount,
    currency: form.dataset.currency,
    other_insurance_minor: amounts.other_insurance ?? 0,
    occurred_at: new Date(value("occurred")).toISOString(),
    description: value("description"),
    payee_account: value("payee_account"),
    device_id: deviceId(),
    address: value("address"),
    merchant_id: value("merchant_id"),
    order_number: value("order_number"),
  };
}

async function send(form) {
  const button = $("button.primary", form);
  if (button.disabled) return;
  button.disabled = true;
  let amounts;
  try {
    amounts = await amountsOf(form);
  } catch {
    say(form, form.dataset.failed);
  }
  button.disabled = false;
  if (amounts) upload(form, amounts);
}

function upload(form, amounts) {
  const body = new FormData();
  if (form.dataset.policy) body.append("claim", JSON.stringify(claimPart(form, amounts)));
  else if (form.elements.note?.value) body.append("note", form.elements.note.value);
  let count = 0;
  for (const input of fileInputs(form)) {
    for (const file of chosen.get(input) ?? []) {
      body.append(input.name, file, file.name);
      count += 1;
    }
  }
  if (!count) return say(form, form.dataset.noFiles);
  const button = $("button.primary", form);
  const box = $(".progress", form);
  const bar = $("progress", box);
  const words = $("span", box);
  const progress = (share) => {
    bar.value = share;
    words.textContent = share < 1 ? form.dataset.sending.replace("{percent}", Math.floor(share * 100)) : form.dataset.checking;
  };
  const stop = (message) => {
    button.disabled = false;
    box.hidden = true;
    say(form, message);
  };
  say(form, "");
  button.disabled = true;
  box.hidden = false;
  progress(0);
  const request = new XMLHttpRequest();
  request.open("POST", form.getAttribute("action"));
  request.responseType = "json";
  request.setRequestHeader("Accept", "application/json");
  request.setRequestHeader("Accept-Language", lang);
  request.setRequestHeader("X-CSRF-Token", form.dataset.csrf);
  request.setRequestHeader("Idempotency-Key", form.dataset.key);
  request.upload.addEventListener("progress", (event) => event.lengthComputable && progress(event.loaded / event.total));
  request.addEventListener("error", () => stop(form.dataset.failed));
  request.addEventListener("timeout", () => stop(form.dataset.failed));
  request.addEventListener("load", () => {
    const answer = request.response ?? {};
    if (request.status < 300) location.assign(form.dataset.policy ? form.dataset.done + answer.id : form.dataset.done);
    else if (answer.href) location.assign(answer.href);
    else stop(answer.message ?? form.dataset.failed);
  });
  request.send(body);
}

document.addEventListener("change", (event) => {
  if (event.target.matches?.("[data-upload] input[type=file]")) takeFiles(event.target);
});
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches("[data-upload]")) {
    event.preventDefault();
    send(form);
  } else if (form.method === "post") {
    // A second click sends nothing; the key in the form would make it one request anyway.
    setTimeout(() => $$("button", form).forEach((button) => (button.disabled = true)));
  }
});
addEventListener("pageshow", (event) => {
  if (event.persisted) $$("button:disabled").forEach((button) => (button.disabled = false));
});

// ---- photos side by side: lines between agreeing points, one laid over the other

function compare(figure) {
  const stage = $(".stage", figure);
  const [mine, other] = $$(".pane img", stage);
  const svg = $(".links", stage);
  const pairs = JSON.parse(figure.dataset.pairs);
  const laid = mine.parentElement;

  // object-fit: contain at the top left: where the picture itself lies inside its element.
  const shown = (image) => {
    const box = image.getBoundingClientRect();
    const scale = Math.min(box.width / image.naturalWidth, box.height / image.naturalHeight);
    return { left: box.left, top: box.top, width: image.naturalWidth * scale, height: image.naturalHeight * scale };
  };
  const draw = () => {
    svg.replaceChildren();
    if (!mine.naturalWidth || !other.naturalWidth || $("[data-lines]", figure)?.getAttribute("aria-pressed") === "false") return;
    const frame = stage.getBoundingClientRect();
    const [a, b] = [shown(mine), shown(other)];
    for (const [x, y, matchX, matchY] of pairs) {
      const from = [a.left + x * a.width - frame.left, a.top + y * a.height - frame.top];
      const to = [b.left + matchX * b.width - frame.left, b.top + matchY * b.height - frame.top];
      svg.append(shape("line", { x1: from[0], y1: from[1], x2: to[0], y2: to[1] }));
      for (const [cx, cy] of [from, to]) svg.append(shape("circle", { cx, cy, r: 2.6 }));
    }
  };
  const lay = (on) => {
    $(".overlay", laid)?.remove();
    $(".blend", figure).hidden = !on;
    if (!on) return;
    const place = shown(mine);
    const fit = affine(pairs.map(([x, y, matchX, matchY]) => [
      matchX * other.naturalWidth, matchY * other.naturalHeight, x * place.width, y * place.height,
    ]));
    if (!fit) return;
    const copy = new Image();
    copy.src = other.src;
    copy.alt = "";
    copy.className = "overlay";
    copy.style.width = `${other.naturalWidth}px`;
    copy.style.height = `${other.naturalHeight}px`;
    copy.style.transform = `matrix(${fit.join(",")})`;
    copy.style.opacity = $(".blend input", figure).value;
    laid.append(copy);
  };
  for (const image of [mine, other]) image.addEventListener("load", draw);
  new ResizeObserver(() => {
    draw();
    if ($(".overlay", laid)) lay(true);
  }).observe(stage);
  figure.addEventListener("click", (event) => {
    const button = event.target.closest("[aria-pressed]");
    if (!button) return;
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    if (button.matches("[data-lines]")) draw();
    else {
      laid.classList.toggle("laid", on);
      lay(on);
    }
  });
  $(".blend input", figure)?.addEventListener("input", (event) => {
    const overlay = $(".overlay", laid);
    if (overlay) overlay.style.opacity = event.target.value;
  });
  draw();
}

function shape(name, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

// Least squares for x' = a x + c y + e, y' = b x + d y + f; CSS takes matrix(a, b, c, d, e, f). Null when the points lie
// on one line.
function affine(points) {
  const normal = [[0, 0, 0], [0, 0, 0], [0, 0, 0]];
  const right = [[0, 0], [0, 0], [0, 0]];
  for (const [x, y, toX, toY] of points) {
    const row = [x, y, 1];
    for (let i = 0; i < 3; i += 1) {
      for (let j = 0; j < 3; j += 1) normal[i][j] += row[i] * row[j];
      right[i][0] += row[i] * toX;
      right[i][1] += row[i] * toY;
    }
  }
  const det = (m) =>
    m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) -
    m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
    m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
  const whole = det(normal);
  if (Math.abs(whole) < 1e-6) return null;
  const solve = (side) => [0, 1, 2].map((column) => det(normal.map((row, i) => row.map((value, j) => (j === column ? right[i][side] : value)))) / whole);
  const [a, c, e] = solve(0);
  const [b, d, f] = solve(1);
  return [a, b, c, d, e, f];
}

// ---- papers: the row and its place on the picture light up together

function light(event) {
  const row = event.target.closest?.(".paper tr[data-field]");
  const paper = row?.closest(".paper");
  for (const lit of $$(".lit")) lit.classList.remove("lit");
  if (!row || event.type === "mouseout" || event.type === "focusout") return;
  for (const one of $$(`[data-field="${CSS.escape(row.dataset.field)}"]`, paper)) one.classList.add("lit");
}
for (const kind of ["mouseover", "mouseout", "focusin", "focusout"]) document.addEventListener(kind, light);

// Each field cut out of the page's picture, with some of what stands around it.
function cutPieces(paper) {
  const sheet = $(".sheet img", paper);
  const width = sheet.naturalWidth;
  const height = sheet.naturalHeight;
  for (const piece of $$("svg.piece", paper)) {
    const [left, top, right, bottom] = piece.dataset.box.split(" ").map(Number);
    const margin = 0.4 * (bottom - top) * height;
    const wide = (right - left) * width + 2 * margin;
    const high = (bottom - top) * height + 2 * margin;
    if (!(wide > 0 && high > 0)) continue;
    piece.setAttribute("preserveAspectRatio", "xMinYMid meet");
    piece.setAttribute("viewBox", [left * width - margin, top * height - margin, wide, high].join(" "));
    piece.replaceChildren(shape("image", { href: sheet.src, width, height }));
  }
}
for (const paper of $$(".paper")) {
  const sheet = $(".sheet img", paper);
  if (!sheet) continue;
  if (sheet.complete && sheet.naturalWidth) cutPieces(paper);
  else sheet.addEventListener("load", () => cutPieces(paper), { once: true });
}

// ---- dialogs and keys

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-help]")) $("#keys")?.showModal();
  const picture = event.target.closest("[data-zoom]");
  const zoom = $("#zoom");
  if (picture && zoom) {
    const image = $("img", zoom);
    image.src = picture.src;
    image.alt = picture.alt;
    zoom.showModal();
  } else if (event.target === zoom) zoom.close();
});

function step(by) {
  const all = $$(".cases .open");
  const at = all.indexOf(document.activeElement);
  all[Math.min(all.length - 1, Math.max(0, at < 0 ? (by > 0 ? 0 : all.length - 1) : at + by))]?.focus();
}

function choose(letter) {
  const radio = $(`input[data-key-${letter}]`);
  if (!radio) return false;
  radio.checked = true;
  const next = letter === "a" ? $("#amount") : $("#note");
  next.focus();
  next.select?.();
  return true;
}

// The match that has the focus, else the first one that nobody has said anything about.
function ruleOn(letter) {
  const form = document.activeElement?.closest(".compare")?.querySelector("[data-ruling]") ?? $("[data-ruling]");
  $(`[data-key-${letter}]`, form ?? document)?.click();
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("textarea, select, input:not([type=radio]):not([type=range])");
  if ((event.ctrlKey || event.metaKey) && event.key === "Enter" && $("#verdict")) {
    event.preventDefault();
    return $("#verdict").requestSubmit();
  }
  if (event.key === "Escape" && typing) return event.target.blur();
  if (typing || event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]")) return undefined;
  const actions = {
    "?": () => $("#keys")?.showModal() ?? true,
    j: () => step(1),
    k: () => step(-1),
    n: () => $("[data-key-n]")?.click(),
    a: () => choose("a"),
    r: () => choose("r"),
    q: () => choose("q"),
    t: () => $("[data-key-t]")?.click(),
    b: () => $("[data-key-b]")?.click(),
    l: () => $$("[data-lines]").forEach((button) => button.click()),
    o: () => $$("[data-overlay]").forEach((button) => button.click()),
    c: () => ruleOn("c"),
    x: () => ruleOn("x"),
    e: () => ruleOn("e"),
  };
  if (event.key in actions && ($("#keys") || event.key === "?")) {
    event.preventDefault();
    actions[event.key]();
  }
  return undefined;
});

// ---- a lost connection is said once, and taken back when the next answer comes

function lost(on) {
  const banner = $("#lost");
  if (banner) banner.hidden = !on;
}
document.addEventListener("htmx:error", () => lost(true));
document.addEventListener("htmx:response:error", () => lost(true));
document.addEventListener("htmx:after:request", (event) => {
  const status = event.detail?.ctx?.response?.status ?? 0;
  if (status && status < 400) lost(false);
  else if (status >= 500) lost(true);
});
document.addEventListener("htmx:after:swap", showTimes);

for (const input of $$("input[data-now]")) {
  const now = new Date(Date.now() - new Date().getTimezoneOffset() * 60000).toISOString().slice(0, 16);
  input.max = now;
}
for (const figure of $$("[data-compare]")) compare(figure);
showTimes();
setInterval(showTimes, 1000);
