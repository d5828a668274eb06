// Decode latents with onnxruntime-node or onnxruntime-web: node decode.cjs node|web GRAPH LATENTS DIM FRAMES OUT
// LATENTS and OUT are raw little-endian float32. Prints {"ms": processor time, the median of 15 runs, "dims": [...]}.
const fs = require("fs");
const [runtime, graph, latents, dim, frames, out] = process.argv.slice(2);

async function main() {
  const ort = require(require.resolve(runtime === "node" ? "onnxruntime-node" : "onnxruntime-web", { paths: [process.cwd()] }));
  const options = { intraOpNumThreads: 1, interOpNumThreads: 1 };
  if (runtime === "web") {
    ort.env.wasm.numThreads = 1;
    options.executionProviders = ["wasm"];
  }
  const session = await ort.InferenceSession.create(runtime === "web" ? new Uint8Array(fs.readFileSync(graph)) : graph, options);
  const bytes = fs.readFileSync(latents);
  const values = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  const feeds = { latents: new ort.Tensor("float32", values, [1, Number(dim), Number(frames)]) };
  let result;
  const times = [];
  for (let i = 0; i < 45; i++) { // the first 30 warm up: WebAssembly is compiled twice, the second time for speed
    const started = process.cpuUsage();
    result = await session.run(feeds);
    const spent = process.cpuUsage(started);
    if (i >= 30) times.push((spent.user + spent.system) / 1e3);
  }
  const data = result.spectrogram.data;
  fs.writeFileSync(out, Buffer.from(data.buffer, data.byteOffset, data.byteLength));
  times.sort((a, b) => a - b);
  console.log(JSON.stringify({ ms: times[7], dims: result.spectrogram.dims.map(Number) }));
}

main().catch((error) => { console.error(String(error.message || error).split("\n")[0]); process.exit(1); });
