// Print how many rounds of the work of a CPU-bound handler take a number of microseconds: node calibrate.mjs 2000

function burn(loops) {
  const cells = new Array(97).fill(0);
  for (let number = 0; number < loops; number++) cells[number % 97] += number & 1023;
  return cells[0];
}

const rounds = 200_000;
let fastest = Infinity;
for (let run = 0; run < 50; run++) {
  const begun = performance.now();
  burn(rounds);
  fastest = Math.min(fastest, performance.now() - begun);
}
console.log(Math.round((Number(process.argv[2]) / 1000 / fastest) * rounds));
