// Browser features: clipboard, sharing, camera and screen-reader announcements.
// Event listeners in layout.py call these functions; each returns the values of its outputs.

window.nst = {
  // Make screen readers announce changes of these elements; the numbers change too often for that.
  announce() {
    document.title = this.say(document.title);  // Gradio does not translate it
    const setRoles = () => {
      for (const id of ["sentence", "note", "address"])
        document.getElementById(id)?.setAttribute("aria-live", "polite");
      document.querySelector("#picture .empty")?.setAttribute("role", "img");  // Gradio only labels it
    };
    new MutationObserver(setRoles).observe(document.getElementById("result"), {childList: true, subtree: true});
    setRoles();
  },

  // Another file is there: close Gradio's messages about the earlier one.  Returns the credit line, empty.
  replaced() {
    document.querySelectorAll(".toast-close").forEach(button => button.click());
    return "";
  },

  // After a run that failed: if its connection broke, values of the sentence, Paint, Stop, Leave the queue and the timer.
  // Anything else the server has told.
  failed(html) {
    const update = (name, value) => ({__type__: "update", ...(this.lost && {[name]: value})});
    const sentence = this.lost ? html.replace("@", this.lost) : update();
    return [sentence, update("visible", true), ...[1, 2].map(() => update("visible", false)), update("active", false)];
  },

  // A sentence in the language of the page.
  say(sentence) {
    return window.gradio_config?.i18n_translations?.[document.documentElement.lang]?.[sentence] || sentence;
  },

  // Scroll so that the picture and the bar below it are in view.
  begin(sentence) {
    this.lost = "";
    const reduced = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const block = innerWidth <= 760 ? "start" : "nearest";
    document.getElementById("easel").scrollIntoView({behavior: reduced ? "instant" : "smooth", block});
    return [this.say(sentence), ""];
  },

  // Complete a link that begins with its query by the page's own address; copy it if the browser allows that.
  async copyLink(html) {
    const [mark, link] = html.match(/<i data-link="([^"]*)"><\/i>/) || [];
    if (!mark) return html;
    const address = new URL(link, location.origin + location.pathname).href;
    let label = this.say("Link copied:");
    try {
      await navigator.clipboard.writeText(address.replaceAll("&amp;", "&"));
    } catch {
      label = this.say("Copy this link:");
    }
    return html.replace(mark,
      `<label>${label} <input readonly value="${address}" onfocus="this.select()"></label>`);
  },

  // Share the picture with another app, or copy it to the clipboard if the browser cannot share.
  async sharePicture() {
    const {src} = document.querySelector("#picture img");
    try {
      const blob = await (await fetch(src)).blob();
      const file = new File([blob], decodeURIComponent(src.split("/").pop()), {type: "image/png"});
      if (navigator.canShare?.({files: [file]})) {
        await navigator.share({files: [file], title: document.title});
        return "";
      }
      await navigator.clipboard.write([new ClipboardItem({"image/png": blob})]);
      return `<span>${this.say("Picture copied: you can paste it anywhere.")}</span>`;
    } catch (error) {
      if (error.name === "AbortError") return "";  // the visitor cancelled
      const failed = "This browser cannot share pictures; download the picture and send the file.";
      return `<span>${this.say(failed)}</span>`;
    }
  },

  // The sliders' positions, 2 at most, for the shares of four paintings: by default they are equal.
  amounts(blend) {
    const most = Math.max(2, ...blend);
    return [0, 1, 2, 3].map(place => (blend[place] ?? most / 2) / most * 2);
  },

  // Lists of cache keys, "kept" and "pins": the latest results and the pinned ones; none where storage is forbidden.
  stored(name) {
    try {
      return JSON.parse(localStorage.getItem(`nst-${name}`)) || [];
    } catch {
      return [];
    }
  },

  store(name, keys) {
    try {
      localStorage.setItem(`nst-${name}`, JSON.stringify(keys));
    } catch {}
    return "";
  },

  // Pin a result, or unpin it; a fourth pin takes the place of the first.
  pin(keys) {
    const pins = this.stored("pins"), others = pins.filter(pin => pin !== keys);
    this.store("pins", others.length < pins.length ? others : [...pins, keys].slice(-3));
  },

  // Put a photo from the camera into the file input of the upload.
  camera() {
    const input = Object.assign(document.createElement("input"), {type: "file", accept: "image/*"});
    input.setAttribute("capture", "environment");
    input.onchange = () => {
      const upload = document.querySelector("#content input[type=file]");
      const files = new DataTransfer();
      files.items.add(input.files[0]);
      upload.files = files.files;
      upload.dispatchEvent(new Event("change", {bubbles: true}));
    };
    input.click();
  },
};

// --- A connection that breaks -----------------------------------------------------------------------------------------

// Gradio would reload the page, and the visitor's pictures would be gone.  Instead the runs whose events break off fail,
// and so does a request that nobody answers: with a sentence, after which everything on the page still works.
window.nst.lost = "";  // that sentence, until the next run
{
  const send = window.fetch.bind(window), sleep = seconds => new Promise(wake => setTimeout(wake, 1000 * seconds));
  const encoder = new TextEncoder(), decoder = new TextDecoder();
  const broken = () => nst.lost = nst.say("The connection to the server was lost. Your picture so far and all that you have chosen are still here: paint again in a moment.");

  const events = body => {
    const reader = body?.getReader();
    let closed = false, text = "";
    return new ReadableStream({
      async pull(controller) {
        const {done, value} = await reader?.read().catch(() => ({done: true})) ?? {done: true};
        text = text.slice(-20) + (done ? "" : decoder.decode(value));  // a word may come in two pieces
        const failed = text.includes('"unexpected_error"');
        closed ||= text.includes('"close_stream"');
        if (!done && !failed) return controller.enqueue(value);
        if (!closed) {
          const failure = {msg: "process_completed", success: false, output: {error: broken(), visible: false}};
          for (const message of [failure, {msg: "close_stream"}])  // without an event_id: for all that are under way
            controller.enqueue(encoder.encode(`\n\ndata: ${JSON.stringify(message)}\n\n`));
        }
        controller.close();
        if (failed) reader.cancel();
      },
      cancel: reason => reader?.cancel(reason),
    }, {highWaterMark: 0});
  };

  // By it the server knows that the tab is open; Gradio would not take it up again.
  const heartbeat = request => new ReadableStream({
    async start() {
      for (; !request.signal.aborted; await sleep(5)) {
        try {
          const reader = (await send(request.clone())).body.getReader();
          while (!(await reader.read()).done);
        } catch {}
      }
    },
  });

  window.fetch = async (resource, options) => {
    const {pathname} = new URL(resource.url ?? resource, location);
    const [, part] = pathname.match(/\/gradio_api\/(queue\/data|queue\/join|run|heartbeat)\b/) || [];
    if (part === "heartbeat") return new Response(heartbeat(new Request(resource, options)));
    try {
      const response = await send(resource, options);
      return part === "queue/data" && response.ok ? new Response(events(response.body), response) : response;
    } catch (error) {
      if (!part || error.name === "AbortError") throw error;
      if (part === "queue/data") return new Response(events(null));
      return Response.json({error: broken(), detail: broken()}, {status: 500});
    }
  };
}

// --- Where: colored areas that the visitor draws on the photo -------------------------------------------------------

window.nst.where = {
  file: null,  // what the server has: a picture of the areas
  base: null,  // one that the server restored
  strokes: [],
  pictures: [],  // the photo, and the paintings in their places

  // The tab was opened, or the photo has changed.
  show(pictures) {
    this.pictures = pictures;
    this.refresh?.();
    return [];
  },

  // Another picture of areas than the one drawn here: null clears them.
  take(file) {
    if (file?.path === this.file?.path) return [];
    Object.assign(this, {file, base: null, strokes: []});
    if (file) {
      const image = new Image();
      image.onload = () => { this.base = image; this.draw?.(); };
      image.src = file.url;
    }
    this.draw?.();
    return [];
  },

  mount(element, trigger, upload) {
    const find = selector => element.querySelector(selector);
    const [photo, canvas, box] = ["img", "canvas", ".areas"].map(find);
    const context = canvas.getContext("2d", {willReadFrequently: true});

    this.refresh = () => {
      const [content, , ...others] = this.pictures;
      photo.hidden = !content;
      if (content && photo.getAttribute("src") !== content.url) photo.src = content.url;
      others.forEach((other, index) => { element.querySelectorAll(".brushes label")[index + 1].hidden = !other; });
    };
    this.draw = () => {
      context.clearRect(0, 0, canvas.width, canvas.height);
      if (this.base) context.drawImage(this.base, 0, 0, canvas.width, canvas.height);
      for (const {color, width, points} of this.strokes) {
        context.globalCompositeOperation = color ? "source-over" : "destination-out";
        Object.assign(context, {strokeStyle: color || "#000", lineWidth: width, lineCap: "round", lineJoin: "round"});
        context.beginPath();
        for (const point of [points[0], ...points]) context.lineTo(...point);  // a dot is a line to itself
        context.stroke();
      }
      context.globalCompositeOperation = "source-over";
    };
    // Send the areas as they are now; nobody paints before they have arrived.
    const send = async () => {
      this.draw();
      const drawn = context.getImageData(0, 0, canvas.width, canvas.height).data.some(value => value);
      const paint = document.getElementById("paint"), turn = this.turn = {};
      paint.disabled = true;
      try {
        const blob = await new Promise(resolve => canvas.toBlob(resolve));
        const kind = {orig_name: "areas.png", mime_type: "image/png", meta: {_type: "gradio.FileData"}};
        const file = drawn ? {...await upload(new File([blob], "areas.png", {type: "image/png"})), ...kind} : null;
        if (turn !== this.turn) return;
        this.file = file;
        trigger("input");
      } finally {
        if (turn === this.turn) paint.disabled = false;
      }
    };

    let stroke = null;
    const add = event => {
      const {left, top, width, height} = canvas.getBoundingClientRect();
      const place = (at, from, all, pixels) => (at - from) / all * pixels;
      stroke.points.push([place(event.clientX, left, width, canvas.width), place(event.clientY, top, height, canvas.height)]);
      this.draw();
    };
    canvas.onpointerdown = event => {
      if (photo.hidden || !event.isPrimary || event.button) return;
      canvas.setPointerCapture(event.pointerId);
      const share = find("[name=width]").value / 100;
      stroke = {color: find(":checked").value, width: share * Math.max(canvas.width, canvas.height), points: []};
      this.strokes.push(stroke);
      add(event);
    };
    canvas.onpointermove = event => { if (stroke && event.isPrimary) add(event); };
    canvas.onpointerup = event => {
      if (!stroke || !event.isPrimary) return;
      stroke = null;
      send();
    };
    canvas.onpointercancel = () => {  // a second finger zooms
      if (stroke) this.strokes.pop();
      stroke = null;
      this.draw();
    };
    find("[name=undo]").onclick = () => { if (this.strokes.pop()) send(); };
    find("[name=clear]").onclick = () => {
      Object.assign(this, {base: null, strokes: []});
      send();
    };
    photo.onload = () => {
      const scale = 512 / Math.max(photo.naturalWidth, photo.naturalHeight);
      const [width, height] = [photo.naturalWidth, photo.naturalHeight].map(side => Math.round(side * scale));
      Object.assign(canvas, {width, height});
      box.style.setProperty("--ratio", width / height);
      this.draw();
    };
    this.refresh();
  },
};
