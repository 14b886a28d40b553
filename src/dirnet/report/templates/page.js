"use strict";
for (const viewer of document.querySelectorAll(".viewer")) {
  const slider = viewer.querySelector(".slider");
  const frame = viewer.querySelector(".frame");
  const choose = (view) => {
    const radio = viewer.querySelector(`input[value="${view}"]`);
    if (radio) radio.checked = true;
  };
  const cut = (percent) => {
    slider.value = percent;
    viewer.style.setProperty("--cut", `${percent}%`);
    slider.setAttribute("aria-valuetext", `${slider.value} % degraded, ${100 - slider.value} % restored`);
    choose("compare");
  };
  if (slider) {
    const follow = (event) => {
      const box = frame.getBoundingClientRect();
      cut(Math.min(100, Math.max(0, (100 * (event.clientX - box.left)) / box.width)));
    };
    slider.addEventListener("input", () => cut(slider.value));
    frame.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      frame.setPointerCapture(event.pointerId);
      follow(event);
      slider.focus({ preventScroll: true });
    });
    frame.addEventListener("pointermove", (event) => {
      if (frame.hasPointerCapture(event.pointerId)) follow(event);
    });
  }
}

// A single key acts on the picture that has the focus, or else on the one under the pointer.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const viewer = document.activeElement.closest(".viewer") || document.querySelector(".viewer:hover");
  const radio = viewer && viewer.querySelector(`input[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
  if (radio) radio.checked = true;
});

// Paper cannot be clicked.
let closed = [];
addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open])")];
  for (const details of closed) details.open = true;
});
addEventListener("afterprint", () => {
  for (const details of closed) details.open = false;
});
