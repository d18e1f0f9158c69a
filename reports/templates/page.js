"use strict";
(() => {
  const filter = document.getElementById("filter");
  const buttons = [...filter.querySelectorAll("button")];
  const rows = [...document.querySelectorAll("[data-verdicts]")];
  filter.hidden = false;
  filter.addEventListener("click", (event) => {
    const pressed = event.target.closest("button");
    if (!pressed) return;
    const show = pressed.dataset.show;
    buttons.forEach((button) => button.setAttribute("aria-pressed", String(button === pressed)));
    rows.forEach((row) => {
      row.hidden = show !== "" && !row.dataset.verdicts.split(" ").includes(show);
    });
    document.querySelectorAll(".matrix tbody, h3.article").forEach((group) => {
      const members = group.matches("tbody") ? [...group.querySelectorAll("[data-verdicts]")] : claimsAfter(group);
      group.hidden = members.every((row) => row.hidden);
    });
  });

  function claimsAfter(heading) {
    const claims = [];
    for (let next = heading.nextElementSibling; next && next.matches(".claim"); next = next.nextElementSibling) {
      claims.push(next);
    }
    return claims;
  }

  // A link from the matrix to a claim that the filter hides shows it again.
  addEventListener("hashchange", () => {
    const target = document.getElementById(location.hash.slice(1));
    if (target && target.hidden) {
      target.hidden = false;
      target.scrollIntoView();
    }
  });

  if (navigator.clipboard) {
    document.querySelectorAll(".code").forEach((block) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "Copy";
      button.setAttribute("aria-label", "Copy: " + block.firstElementChild.getAttribute("aria-label"));
      button.addEventListener("click", async () => {
        const copied = await navigator.clipboard.writeText(block.firstElementChild.textContent).then(() => true, () => false);
        button.textContent = copied ? "Copied" : "Not copied";
        setTimeout(() => { button.textContent = "Copy"; }, 1500);
      });
      block.append(button);
    });
  }

  addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach((details) => { details.open = true; });
  });
})();
