// What only the browser can do: the clipboard, the system's sharing, the camera, and what screen readers are told.
// The page calls these by name; each returns what its output is to show.

window.nst = {
  // What changes by itself is read aloud only if it says so; the numbers change too often for that.
  announce() {
    const mark = () => {
      for (const id of ["sentence", "note", "address"])
        document.getElementById(id)?.setAttribute("aria-live", "polite");
      document.querySelector("#picture .empty")?.setAttribute("role", "img");  // Gradio gives it but a label
    };
    new MutationObserver(mark).observe(document.getElementById("result"), {childList: true, subtree: true});
    mark();
  },

  // On a phone the picture is below the button that starts it.
  begin(sentence) {
    const quiet = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (innerWidth <= 760)
      document.getElementById("result").scrollIntoView({behavior: quiet ? "instant" : "smooth"});
    return [sentence, ""];
  },

  // The browser knows by which address the page is reached, and whether it may write to the clipboard.
  async copyLink(html) {
    const [mark, query] = html.match(/<i data-query="([^"]*)"><\/i>/) || [];
    if (!mark) return html;
    const address = location.origin + location.pathname + query;
    let words = "Link copied:";
    try {
      await navigator.clipboard.writeText(address.replaceAll("&amp;", "&"));
    } catch {
      words = "Copy this link:";
    }
    return html.replace(mark,
      `<label>${words} <input readonly value="${address}" onfocus="this.select()"></label>`);
  },

  // The picture itself, to another program of the phone; where there is no such thing, to the clipboard.
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
      return "<span>Picture copied: paste it where you like.</span>";
    } catch (error) {
      if (error.name === "AbortError") return "";  // the visitor thought better of it
      return "<span>This browser cannot share pictures; download it and send the file.</span>";
    }
  },

  // A photo from the camera takes the same way as a chosen one.
  camera() {
    const input = Object.assign(document.createElement("input"), {type: "file", accept: "image/*"});
    input.setAttribute("capture", "environment");
    input.onchange = async () => {
      const find = () => document.querySelector("#content input[type=file]");
      if (!find()) document.querySelector("#content button[aria-label='Clear']")?.click();
      for (let frame = 0; !find() && frame < 120; frame++) await new Promise(requestAnimationFrame);
      const files = new DataTransfer();
      files.items.add(input.files[0]);
      find().files = files.files;
      find().dispatchEvent(new Event("change", {bubbles: true}));
    };
    input.click();
  },
};
