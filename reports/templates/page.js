"use strict";
(() => {
  // -- filters: pages work without them, and show them only here

  const filter = document.getElementById("filter");
  if (filter) {
    const buttons = [...filter.querySelectorAll("[data-show]")];
    const find = document.getElementById("find");
    const left = document.getElementById("left");
    const rows = [...document.querySelectorAll("[data-row]")];
    const branches = [...document.querySelectorAll(".tree details.branch")];
    let shown = "";
    const apply = () => {
      const word = find.value.trim().toLowerCase();
      let visible = 0;
      rows.forEach((row) => {
        const fits = shown === "" || (row.dataset.verdicts || "").split(" ").includes(shown);
        const named = row.firstElementChild.textContent.toLowerCase().includes(word);
        row.hidden = !(fits && named);
        visible += row.hidden ? 0 : 1;
      });
      branches.forEach((branch) => {
        branch.hidden = [...branch.querySelectorAll("[data-row]")].every((row) => row.hidden);
      });
      left.textContent = visible === rows.length ? "" : `${visible} of ${rows.length}`;
    };
    filter.hidden = false;
    filter.addEventListener("submit", (event) => event.preventDefault());
    find.addEventListener("input", apply);
    filter.addEventListener("click", (event) => {
      const pressed = event.target.closest("button");
      if (!pressed) return;
      if ("fold" in pressed.dataset) {
        branches.forEach((branch) => { branch.open = pressed.dataset.fold === "open"; });
        return;
      }
      shown = pressed.dataset.show;
      buttons.forEach((button) => button.setAttribute("aria-pressed", String(button === pressed)));
      apply();
    });
  }

  // -- copying

  const copied = async (text) => {
    if (navigator.clipboard) {
      return navigator.clipboard.writeText(text).then(() => true, () => false);
    }
    return false;
  };
  document.querySelectorAll(".code").forEach((block) => {
    const text = block.firstElementChild;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.setAttribute("aria-label", "Copy: " + text.getAttribute("aria-label"));
    button.addEventListener("click", async () => {
      const done = await copied(text.textContent);
      // Where there is no clipboard, as on a page served without encryption, keys can copy it.
      if (!done) getSelection().selectAllChildren(text);
      button.textContent = done ? "Copied" : "Selected";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    block.append(button);
  });

  addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach((details) => { details.open = true; });
  });
})();
