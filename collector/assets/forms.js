// Copying what is shown once; without a script it is marked and copied by hand.
(() => {
  for (const button of document.querySelectorAll("[data-copy]")) {
    const source = document.getElementById(button.dataset.copy);
    if (!navigator.clipboard || !source) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(source.textContent);
      button.dataset.done = "true";
      setTimeout(() => delete button.dataset.done, 2000);
    });
  }
})();
