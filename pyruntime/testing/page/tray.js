/* The files that are to be sent: picked, dropped or pasted. */

import { make } from "./dom.js";
import { showToast } from "./notice.js";

const MAX_FILES = 10;
const MAX_BYTES = 40 * 1024 * 1024;

function read(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(file);
  });
}

export class Tray {
  constructor(onChange) {
    this.onChange = onChange;
    this.files = [];             // {file, url}: url resolves to the content as a data URL
    this.picker = make("input", { type: "file", multiple: true, hidden: true, "aria-label": "Files to send" });
    this.asDocument = make("input", { type: "checkbox" });
    this.list = make("div", { class: "tray", hidden: true, role: "group", "aria-label": "Files to send" });
    this.element = make("div", {}, this.list, this.picker);
    this.picker.addEventListener("change", () => { this.add([...this.picker.files]); this.picker.value = ""; });
  }

  pick() { this.picker.click(); }

  add(files) {
    const size = [...this.files.map(({ file }) => file), ...files].reduce((sum, file) => sum + file.size, 0);
    if (this.files.length + files.length > MAX_FILES) showToast(null, `At most ${MAX_FILES} files at once`);
    else if (size > MAX_BYTES) showToast(null, "These files are too large: 40 MB in all, at most");
    else this.files.push(...files.map((file) => ({ file, url: read(file) })));
    this.render();
    this.onChange();
  }

  render() {
    this.list.hidden = !this.files.length;
    this.list.replaceChildren(...this.files.map((entry) => {
      const remove = () => { this.files.splice(this.files.indexOf(entry), 1); this.render(); this.onChange(); };
      const figure = make("figure", {}, entry.file.name,
        make("button", { type: "button", "aria-label": `Do not send ${entry.file.name}`, onclick: remove }, "✕"));
      if (/^image\/(png|jpeg|gif|webp)$/.test(entry.file.type)) {
        entry.url.then((url) => figure.firstChild.replaceWith(make("img", { src: url, alt: entry.file.name })));
      }
      return figure;
    }), make("label", {}, this.asDocument, "as documents"));
  }

  /** Return the files as the server takes them, and forget them. */
  async take() {
    const taken = this.files;
    const asDocument = this.asDocument.checked;
    this.files = [];
    this.asDocument.checked = false;
    this.render();
    return Promise.all(taken.map(async ({ file, url }) => ({
      name: file.name, type: file.type, as_document: asDocument, base64: (await url).split(",")[1] ?? "",
    })));
  }
}
