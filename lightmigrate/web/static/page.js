// What HTML alone cannot do: nothing here decides anything, and every page works without it except the live parts.
document.addEventListener("input", (event) => {
  const output = document.querySelector(`output[for="${event.target.id}"]`);
  if (output) output.value = event.target.value + (output.dataset.unit || "");
});
