// The desk works without this file. With it: numbers move by themselves, the search answers while one types, keys work.
"use strict";
(() => {
  const minute = 60, hour = 3600, day = 86400;

  // The server's own wording (outagecast/web/times.py), rounded down, with seconds below ten minutes.
  function length(seconds) {
    const s = Math.floor(seconds);
    if (s < minute) return `${s} s`;
    if (s < 10 * minute) return `${Math.floor(s / minute)} min ${String(s % minute).padStart(2, "0")} s`;
    if (s < hour) return `${Math.floor(s / minute)} min`;
    if (s < 2 * day) return `${Math.floor(s / hour)} h ${String(Math.floor((s % hour) / minute)).padStart(2, "0")} min`;
    return `${Math.floor(s / day)} d ${Math.floor((s % day) / hour)} h`;
  }

  // The server's clock is the one that counts: each page says what it showed when it was made. A browser's may be wrong,
  // and a demonstration's clock runs faster: how fast is seen from one look to the next.
  const clock = { server: Number(document.getElementById("main").dataset.now), at: performance.now(), rate: 1 };
  function set(server) {
    const at = performance.now(), rate = (server - clock.server) / Math.max(1, at - clock.at);
    if (at - clock.at > 2000) clock.rate = Math.abs(rate - 1) < 0.1 ? 1 : rate;
    clock.server = server;
    clock.at = at;
  }

  function tick() {
    const now = clock.server + (performance.now() - clock.at) * clock.rate;
    for (const span of document.querySelectorAll(".far[data-at]")) {
      const left = (Number(span.dataset.at) - now) / 1000;
      const says = left >= 0 ? `in ${length(left)}` : `${length(-left)} ago`;
      if (span.textContent !== says) span.textContent = says;
      // The way back is over: the bar goes, and what was sent shows.
      if (left < 0 && !span.dataset.over && span.closest(".dock")) { span.dataset.over = "yes"; look(); }
    }
  }

  // --- live ---

  // Fetch this page again and exchange the live parts. What somebody reads, has opened or is writing stays as it is.
  const served = new Map();
  const asOf = document.getElementById("asof");
  let looking = false, again = false, alone = false;

  // A part as the server wrote it: without what the clock has moved since.
  function bare(part) {
    const copy = part.cloneNode(true);
    for (const far of copy.querySelectorAll(".far[data-at]")) far.textContent = "";
    for (const open of copy.querySelectorAll("details[open]")) open.removeAttribute("open");
    return copy.className + copy.innerHTML;
  }

  function isBusy(part) {
    const here = document.activeElement, chosen = getSelection();
    if (here && part.contains(here) && here.matches("input, textarea, select")) return true;
    if (chosen && !chosen.isCollapsed && part.contains(chosen.anchorNode)) return true;
    return [...part.querySelectorAll("input:not([type=hidden]), textarea")].some((field) =>
      field.type === "checkbox" || field.type === "radio" ? field.checked !== field.defaultChecked : field.value !== field.defaultValue);
  }

  // How to find the same link, button or fold again in what comes in its place.
  const sign = (e) => [e.tagName, e.getAttribute("href"), e.name, e.closest("form") && e.closest("form").getAttribute("action"), e.tagName === "SUMMARY" ? e.textContent : ""].join("|");
  const names = (part) => {
    const seen = new Map();
    return [...part.querySelectorAll("a, button, summary")].map((e) => {
      const own = sign(e), nth = (seen.get(own) || 0) + 1;
      seen.set(own, nth);
      return [`${own}|${nth}`, e];
    });
  };

  function exchange(part, fresh) {
    const before = names(part);
    const held = before.find(([, e]) => e === document.activeElement);
    const open = new Set(before.filter(([, e]) => e.tagName === "SUMMARY" && e.parentElement.open).map(([own]) => own));
    part.innerHTML = fresh.innerHTML;
    part.className = fresh.className;
    if (!held && !open.size) return;
    for (const [own, e] of names(part)) {
      if (open.has(own)) e.parentElement.open = true;
      if (held && own === held[0]) e.focus({ preventScroll: true });
    }
  }

  async function look() {
    if (looking) { again = true; return; }
    looking = true;
    try {
      let answer = await fetch(alone ? "/desk/look" : location.href, { headers: { Accept: "text/html", "X-Look": "again" }, redirect: "manual" });
      if (answer.type === "opaqueredirect") { heard("out"); return; }
      if (answer.status !== 200 && !alone) {
        // The page of a form that was refused has no address of its own: what stands over it is looked at alone.
        alone = true;
        answer = await fetch("/desk/look", { headers: { Accept: "text/html", "X-Look": "again" }, redirect: "manual" });
      }
      if (answer.status !== 200) { heard("lost"); return; }
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of document.querySelectorAll("[data-live]")) {
        const fresh = page.getElementById(part.id);
        if (!fresh) continue;
        const says = bare(fresh);
        if (served.get(part.id) === says || isBusy(part)) continue;
        exchange(part, fresh);
        served.set(part.id, says);
      }
      set(Number(page.getElementById("main").dataset.now));
      const at = asOf && asOf.querySelector(".at"), now = page.querySelector("#asof .at");
      if (at && now) at.innerHTML = now.innerHTML;
      const title = page.querySelector("title");
      if (title && !alone && !location.href.endsWith("/desk/look")) document.title = title.textContent;
      tick();
      heard(stream && stream.readyState === 1 ? "live" : "slow");
    } catch {
      heard("lost"); // The next event, or the next look, tries again.
    } finally {
      looking = false;
      if (again) { again = false; setTimeout(look, 500); }
    }
  }

  // Whether what is shown is what is: told in words, where everybody looks for it.
  const says = { live: "Live", slow: "Looked at", lost: "Not live since", out: "Signed out: reload this page. As of" };
  function heard(how) {
    if (!asOf || asOf.dataset.how === how) return;
    asOf.dataset.how = how;
    asOf.querySelector(".word").textContent = says[how];
    if (how === "lost" || how === "out") asOf.setAttribute("role", "alert");
    else asOf.removeAttribute("role");
  }

  // Counts that go over every message may be two seconds old (outagecast/web/kept.py): the last word is fetched after it.
  let trailing = 0;
  function later() {
    clearTimeout(trailing);
    trailing = setTimeout(look, 2500);
  }

  let stream = null, patience = 1000;
  function listen() {
    if (stream && stream.readyState !== 2) return;
    stream = new EventSource("/desk/events");
    stream.addEventListener("open", () => { patience = 1000; if (asOf && asOf.dataset.how) look(); });
    stream.addEventListener("change", (event) => { if (event.data !== "hello") { look(); later(); } else if (asOf && !asOf.dataset.how) heard("live"); });
    stream.addEventListener("error", () => {
      // A browser tries again by itself, unless the answer was an error: then it gives up, and we do not.
      const gone = stream.readyState === 2;
      look();
      if (gone) {
        setTimeout(() => { if (!document.hidden) listen(); }, patience);
        patience = Math.min(patience * 2, 30000);
      }
    });
  }

  function live() {
    const parts = document.querySelectorAll("[data-live]");
    if (!parts.length) return;
    for (const part of parts) served.set(part.id, bare(part));
    alone = [...parts].every((part) => part.id === "standing" || part.id === "ways-back");
    // A browser has six lines to one house (HTTP/1.1): a tab that nobody sees gives its own back, and only looks.
    if (window.EventSource && !document.hidden) listen();
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) { if (stream) stream.close(); return; }
      look();
      if (window.EventSource) listen();
    });
    // What only time changes (an undo window that closes, a promise that passes) rings no bell.
    setInterval(look, 15000);
    setTimeout(look, 3000);
    addEventListener("online", look);
    addEventListener("pagehide", () => { if (stream) stream.close(); });
    addEventListener("pageshow", (event) => { if (event.persisted) { look(); if (window.EventSource) listen(); } });
  }

  function search() {
    const field = document.querySelector("[data-search]"), found = document.getElementById("found");
    const scope = document.getElementById("scope");
    if (!field || !found || !scope) return;
    let wait = 0, asked = "";
    field.addEventListener("input", () => {
      clearTimeout(wait);
      wait = setTimeout(async () => {
        asked = field.value.trim();
        const answer = await fetch(`${field.dataset.search}?q=${encodeURIComponent(asked)}`);
        if (answer.ok && !answer.redirected && asked === field.value.trim()) found.innerHTML = await answer.text();
      }, 150);
    });
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      const first = found.querySelector("input[name=pick]");
      if (first) { take(first.value); field.value = ""; found.replaceChildren(); }
    });
    found.addEventListener("change", (event) => {
      if (event.target.name !== "pick") return;
      if (event.target.checked) take(event.target.value);
      else drop(event.target.value);
    });
    const lines = () => scope.value.split("\n").map((line) => line.trim()).filter(Boolean);
    function take(id) {
      const have = lines();
      if (!have.includes(id)) have.push(id);
      write(have);
    }
    function drop(id) { write(lines().filter((line) => line !== id)); }
    function write(have) {
      scope.value = have.join("\n");
      scope.rows = Math.max(2, have.length + 1);
      stale();
    }
  }

  // After a change the preview beside the form is no longer what will be sent: the button waits for another look.
  function stale() {
    const send = document.querySelector("#preview button[value=send]");
    if (send && !send.disabled) {
      send.disabled = true;
      send.title = "You changed something: look again first";
      const again = document.querySelector("#preview button[value=preview]");
      if (again) again.classList.add("act");
    }
  }

  // --- keys ---

  // Never while somebody writes: a field, a choice, a dialog and whatever speaks for one keep their letters.
  const WRITES = "input:not([type=checkbox], [type=radio], [type=button], [type=submit]), textarea, select, [contenteditable]";
  function keys() {
    const letters = Boolean(document.querySelector("[data-keys=on]"));
    document.addEventListener("keydown", (event) => {
      if (event.defaultPrevented || event.isComposing) return;
      const field = event.target.closest(WRITES);
      if ((event.ctrlKey || event.metaKey) && event.key === "Enter") {
        const form = event.target.closest("form") || document.getElementById("declare");
        const button = form && (form.querySelector("button[value=send]:not([disabled])") || form.querySelector("button.act:not([disabled])"));
        if (button) { event.preventDefault(); button.click(); }
        return;
      }
      if (field) {
        if (event.key === "Escape" && !field.closest("dialog")) field.blur();
        return;
      }
      if (!letters || event.ctrlKey || event.metaKey || event.altKey || event.repeat || document.querySelector("dialog[open]")) return;
      if (event.key === "/") {
        const search = document.querySelector("[data-search], [role=search] input:not([type=hidden])");
        if (search) { event.preventDefault(); search.focus(); }
        return;
      }
      if (event.key === "?") { event.preventDefault(); help(); return; }
      if (event.key === "j" || event.key === "k") { if (step(event.key === "j" ? 1 : -1)) event.preventDefault(); return; }
      const target = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
      if (!target) return;
      event.preventDefault();
      target.focus();
      target.click();
      if (target.tagName === "SUMMARY" && target.parentElement.open) {
        const first = target.parentElement.querySelector("input:not([type=hidden]), textarea, select");
        if (first) first.focus();
      }
    });
  }

  function step(way) {
    const rows = [...document.querySelectorAll("[data-row]")];
    if (!rows.length) return false;
    const here = rows.indexOf(document.activeElement);
    rows[here < 0 ? (way > 0 ? 0 : rows.length - 1) : Math.min(Math.max(here + way, 0), rows.length - 1)].focus();
    return true;
  }

  // The list of all keys is a page; here it is shown over this one, with this page's own keys first.
  async function help() {
    let dialog = document.querySelector("dialog.keys");
    if (!dialog) {
      dialog = document.createElement("dialog");
      dialog.className = "keys";
      dialog.setAttribute("aria-labelledby", "keys-title");
      dialog.innerHTML = '<h2 id="keys-title">Keys</h2><div class="here"></div><div class="all"></div><form method="dialog"><button class="act">Close</button></form>';
      document.body.append(dialog);
      dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
      try {
        const answer = await fetch("/desk/keys");
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const title of page.querySelectorAll("#keys h2")) {
          const small = document.createElement("h3");
          small.textContent = title.textContent;
          title.replaceWith(small);
        }
        dialog.querySelector(".all").append(...page.getElementById("keys").childNodes);
      } catch {
        // Without the list there are still this page's own keys.
      }
    }
    const list = document.createElement("dl"), title = document.createElement("h3");
    list.className = "keylist";
    title.textContent = "On this page";
    for (const target of document.querySelectorAll("main [data-key], .dock [data-key]")) {
      const line = document.createElement("div"), key = document.createElement("dt"), does = document.createElement("dd"), kbd = document.createElement("kbd");
      kbd.textContent = target.dataset.key;
      key.append(kbd);
      does.textContent = (target.title || target.textContent).replace(/: .$/, "").trim();
      line.append(key, does);
      list.append(line);
    }
    dialog.querySelector(".here").replaceChildren(...(list.children.length ? [title, list] : []));
    if (!dialog.open) dialog.showModal();
  }

  // Twice pressed is once sent; the key of the form makes sure of it on the server too.
  function once() {
    document.addEventListener("submit", (event) => {
      if (event.defaultPrevented) return; // a script asks in its place: nothing was sent
      const button = event.submitter, asked = button ? `${button.name}=${button.value}` : "form";
      if (event.target.dataset.sent === asked) { event.preventDefault(); return; }
      event.target.dataset.sent = asked;
      setTimeout(() => { delete event.target.dataset.sent; }, 5000);
    });
  }

  // What only scripts can do shows only with them: printing, and this browser's own zone.
  function mine() {
    for (const button of document.querySelectorAll("[data-print]")) {
      button.hidden = false;
      button.addEventListener("click", () => print());
    }
    const zones = document.querySelector("[data-zones]");
    const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const option = zones && own && [...zones.options].find((each) => each.value === own);
    if (option) option.textContent += " (this browser's)";
  }

  // On a phone the pages' row is longer than the screen: the present one is brought into sight.
  const here = document.querySelector(".bar nav [aria-current]");
  if (here && here.parentElement.scrollWidth > here.parentElement.clientWidth) {
    here.parentElement.scrollLeft = here.offsetLeft - here.parentElement.offsetLeft - 60;
  }
  const form = document.getElementById("declare");
  if (form) form.addEventListener("input", (event) => { if (event.target.name !== "find" && event.target.name !== "pick") stale(); });
  live();
  tick();
  setInterval(tick, 1000);
  mine();
  search();
  keys();
  once();
  const errors = document.getElementById("errors");
  if (errors) errors.focus();
})();

// Phrases beside a message box: a click puts the words in where the cursor stands.
(() => {
  "use strict";
  for (const button of document.querySelectorAll("[data-put]")) {
    const box = document.getElementById(button.dataset.into), words = document.getElementById(button.dataset.put);
    if (!box || !words) continue;
    box.addEventListener("focus", () => { box.dataset.seen = "yes"; });
    button.hidden = false;
    button.addEventListener("click", () => {
      // A box nobody has been in yet has its cursor before the first word.
      if (!box.dataset.seen) box.setSelectionRange(box.value.length, box.value.length);
      const before = box.value.slice(0, box.selectionStart), after = box.value.slice(box.selectionEnd);
      const open = before && !/\s$/.test(before) ? " " : "", close = after && !/^\s/.test(after) ? " " : "";
      box.focus();
      box.setRangeText(open + words.textContent.trim() + close, box.selectionStart, box.selectionEnd, "end");
      box.dispatchEvent(new Event("input", { bubbles: true }));
    });
  }
})();

// The caller's look-up answers while one types; Enter goes straight there. Posted: what is typed is personal.
(() => {
  "use strict";
  const field = document.querySelector("[data-callers]"), list = document.getElementById("callers");
  if (!field || !list) return;
  let wait = 0;
  field.addEventListener("input", () => {
    clearTimeout(wait);
    wait = setTimeout(async () => {
      const asked = field.value.trim();
      if (asked.length < 2) { list.replaceChildren(); return; }
      const body = new URLSearchParams(new FormData(field.form));
      body.set("part", "list");
      try {
        const answer = await fetch(field.dataset.callers, { method: "POST", body, redirect: "manual" });
        if (answer.status === 200 && asked === field.value.trim()) list.innerHTML = await answer.text();
      } catch {
        // Enter still asks.
      }
    }, 150);
  });
})();

// --- one outage: a click on the map ticks the branch, where the list has it; else the link asks for the page anew ---
(() => {
  const back = document.getElementById("back");
  if (!back) return;
  back.addEventListener("click", (event) => {
    const link = event.target.closest("figure.map a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const key = new URL(link.getAttribute("href"), location.href).searchParams.get("pick");
    const box = back.querySelector(`input[name=restored][value="${CSS.escape(key)}"]`);
    if (!box) return;
    event.preventDefault();
    box.checked = !box.checked;
    mark(link, box.checked);
  });
  back.addEventListener("change", (event) => {
    if (event.target.name !== "restored") return;
    for (const link of back.querySelectorAll("figure.map a")) {
      const key = new URL(link.getAttribute("href"), location.href).searchParams.get("pick");
      if (key === event.target.value) mark(link, event.target.checked);
    }
  });
  function mark(link, on) { link.classList.toggle("picked", on); }
  back.addEventListener("click", (event) => { if (event.target.closest("figure.map a")) tell(); });
  back.addEventListener("change", (event) => { if (event.target.name === "restored") tell(); });

  // Who would hear of it, in a line, while one ticks; the button shows all of it.
  const says = back.querySelector("[data-difference]"), form = back.querySelector("form");
  let wait = 0, asked = 0;
  function tell() {
    if (!says) return;
    clearTimeout(wait);
    wait = setTimeout(async () => {
      const turn = ++asked, body = new URLSearchParams(new FormData(form));
      body.set("do", "look");
      try {
        const answer = body.has("restored") ? await fetch(form.action, { method: "POST", body, redirect: "manual" }) : null;
        if (turn !== asked) return;
        if (!answer || answer.status !== 200) { says.textContent = ""; return; }
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const groups = [...page.querySelectorAll(".group h2")].map((one) => one.textContent.trim().replace(/\s+/g, " "));
        const heading = page.querySelector("h1");
        says.textContent = heading ? [heading.textContent.split(": ").pop().trim(), ...groups].join(" ") : "";
      } catch {
        says.textContent = "";
      }
    }, 400);
  }
})();

// Declaring: the right half follows what is typed, a pasted list becomes lines, arrows walk through what was found.
(() => {
  "use strict";
  const form = document.getElementById("declare"), panel = document.getElementById("preview");
  const find = document.getElementById("find"), found = document.getElementById("found"), scope = document.getElementById("scope");
  if (!form || !panel || !find || !found || !scope || !form.dataset.look) return;
  // One look at a time: of a hundred thousand customers one takes seconds, and only the last one counts.
  let wait = 0, asked = 0, busy = false, next = null;
  async function look(more) {
    clearTimeout(wait);
    const mine = ++asked;
    if (busy) { next = { more }; return; }
    busy = true;
    const body = new URLSearchParams(new FormData(form));
    for (const name of ["find", "pick", "do"]) body.delete(name);
    if (more) body.set(more.name, more.value);
    panel.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(form.dataset.look, { method: "POST", body, redirect: "manual" });
      const text = answer.status === 200 ? await answer.text() : "";
      if (mine === asked && text) exchange(text);
    } catch {
      // The button still asks.
    } finally {
      busy = false;
      if (mine === asked) panel.removeAttribute("aria-busy");
      const again = next;
      next = null;
      if (again) look(again.more);
    }
  }
  function exchange(text) {
    const here = document.activeElement, held = here && panel.contains(here) && here.id === "reader" ? [here.value, here.selectionStart] : null;
    const open = new Set([...panel.querySelectorAll("details[open] > summary")].map((each) => each.textContent.replace(/[\d,]+/g, "")));
    const shut = new Set([...panel.querySelectorAll("details:not([open]) > summary")].map((each) => each.textContent));
    panel.innerHTML = text;
    for (const each of panel.querySelectorAll("details > summary")) if (open.has(each.textContent.replace(/[\d,]+/g, ""))) each.parentElement.open = true; else if (shut.has(each.textContent)) each.parentElement.open = false;
    const field = document.getElementById("reader");
    if (held && field) { field.value = held[0]; field.focus(); field.setSelectionRange(held[1], held[1]); }
    const title = panel.querySelector("h2"), says = document.getElementById("look-says");
    if (says && title && says.textContent !== title.textContent) says.textContent = title.textContent;
  }
  function soon() { clearTimeout(wait); wait = setTimeout(() => look(), 300); }

  form.addEventListener("input", (event) => { if (event.target.name !== "find" && event.target.name !== "pick") soon(); });
  found.addEventListener("change", soon);
  panel.addEventListener("click", (event) => {
    const button = event.target.closest("button[name=read_as], .reader button");
    if (!button) return;
    event.preventDefault();
    look(button.name === "read_as" ? button : null);
  });
  panel.addEventListener("keydown", (event) => {
    if (event.target.id !== "reader" || event.key !== "Enter" || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    look();
  });
  find.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) soon();
    if (event.key === "Escape") found.replaceChildren();
    const first = found.querySelector("input[name=pick]");
    if (event.key === "ArrowDown" && first) { event.preventDefault(); first.focus(); }
  });
  found.addEventListener("keydown", (event) => {
    const all = [...found.querySelectorAll("input[name=pick]")], here = all.indexOf(event.target);
    if (here < 0) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const next = here + (event.key === "ArrowDown" ? 1 : -1);
      (next < 0 ? find : all[Math.min(next, all.length - 1)]).focus();
    } else if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      if (!event.target.checked) event.target.click();
      find.value = "";
      found.replaceChildren();
      find.focus();
    } else if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      found.replaceChildren();
      find.focus();
    }
  });
  find.addEventListener("paste", (event) => {
    const parts = event.clipboardData.getData("text").split(/[\n\r,;\t]+/).map((each) => each.trim()).filter(Boolean);
    if (parts.length < 2) return;
    event.preventDefault();
    scope.value = [...new Set([...scope.value.split("\n").map((each) => each.trim()).filter(Boolean), ...parts])].join("\n");
    scope.rows = Math.min(12, scope.value.split("\n").length + 1);
    look();
  });
  if (scope.value.trim() && !document.getElementById("touches")) look();
})();
