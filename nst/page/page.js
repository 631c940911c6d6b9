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

  // A sentence in the language of the page.
  say(sentence) {
    return window.gradio_config?.i18n_translations?.[document.documentElement.lang]?.[sentence] || sentence;
  },

  // Scroll so that the picture and the bar below it are in view.
  begin(sentence) {
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

  // The cache keys of the latest results; none where the browser forbids storage.
  kept() {
    try {
      return JSON.parse(localStorage.getItem("nst-kept")) || [];
    } catch {
      return [];
    }
  },

  keep(kept) {
    try {
      localStorage.setItem("nst-kept", JSON.stringify(kept));
    } catch {}
    return "";
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
