// Moves the page along: when something arrives, asks for the same page again and takes over what is new.
"use strict";

(() => {
  const clock = document.getElementById("clock");
  const start = performance.now();
  const shown = new Intl.DateTimeFormat("en-GB", {
    hour: "2-digit", minute: "2-digit", second: "2-digit", timeZone: clock.dataset.zone,
  });
  const zoneName = clock.textContent.trim().split(" ").pop();
  setInterval(() => {
    const now = Number(clock.dataset.now) + (performance.now() - start) * Number(clock.dataset.speed);
    clock.textContent = `${shown.format(now)} ${zoneName}`;
  }, 1000);

  // Frames are as tall as their mail: no scrolling inside scrolling.
  const fit = (frame) => {
    const page = frame.contentDocument;
    if (!page || !page.body) return;
    frame.style.height = "0"; // or it would never get smaller
    frame.style.height = `${Math.max(page.documentElement.scrollHeight, 80)}px`;
  };
  const watch = (root) => {
    for (const frame of root.querySelectorAll("iframe")) {
      frame.addEventListener("load", () => fit(frame));
      fit(frame);
    }
  };
  addEventListener("resize", () => document.querySelectorAll("iframe").forEach(fit));
  watch(document);

  // Children are known by id and data-rev; what is the same stays where it is, so open mails do not reload.
  const merge = (old, fresh) => {
    const kept = new Map([...old.children].map((child) => [child.id, child]));
    let place = old.firstElementChild;
    for (const child of [...fresh.children]) {
      const known = kept.get(child.id);
      const same = known && known.dataset.rev === child.dataset.rev;
      if (same && known === place) {
        place = place.nextElementSibling;
      } else {
        const node = same ? known : document.importNode(child, true);
        old.insertBefore(node, place);
        if (!same) watch(node);
        if (known && !same) {
          if (known === place) place = place.nextElementSibling;
          known.remove();
        }
      }
      kept.delete(child.id);
    }
    for (const gone of kept.values()) gone.remove();
  };

  let busy = false;
  let again = false;
  const refresh = async () => {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const old of document.querySelectorAll("[data-live]")) {
        const fresh = page.getElementById(old.id);
        if (!fresh) continue;
        if (old.dataset.live === "merge") merge(old, fresh);
        else if (old.innerHTML !== fresh.innerHTML) old.replaceChildren(...fresh.cloneNode(true).childNodes);
      }
      for (const empty of document.querySelectorAll(".list .empty, .detail > .empty")) {
        if (!page.querySelector(empty.closest(".list") ? ".list .empty" : ".detail > .empty")) empty.remove();
      }
    } catch {
      return; // the sandbox is away; the event stream tells when it is back
    } finally {
      busy = false;
      if (again) { again = false; setTimeout(refresh, 300); }
    }
  };

  let version = null;
  new EventSource("/events").onmessage = (event) => {
    if (version !== null && version !== event.data) refresh();
    version = event.data;
  };

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
    const field = { "/": ".search input", a: ".answer input" }[event.key];
    const target = field && document.querySelector(field);
    if (target) { event.preventDefault(); target.focus(); }
  });
})();
