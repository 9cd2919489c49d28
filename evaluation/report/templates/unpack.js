"use strict";

// Text of a compressed part of the page; see evaluation/report/packing.py.
async function unpacked(id) {
  const packed = atob(document.getElementById(id).textContent.trim());
  const bytes = Uint8Array.from(packed, (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

function reportTrouble(error) {
  const line = document.getElementById("trouble");
  const known = typeof DecompressionStream === "undefined";
  line.textContent = known
    ? "This browser cannot unpack the plots and answers: use Chrome 80, Firefox 113, Safari 16.4 or a later one."
    : `Plots or answers cannot be shown: ${error.message}`;
  line.hidden = false;
}
