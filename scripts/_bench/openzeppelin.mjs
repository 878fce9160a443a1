// Builds the tree over the leaves that merkle.py makes, and the proofs of some of them, evenly spread:
// `openzeppelin.mjs count escrow proofs`. Its `getProof` verifies each proof before it returns it.
import { StandardMerkleTree } from "@openzeppelin/merkle-tree";

const TYPES = ["address", "uint256", "uint256", "uint256"];
const SLOTS = 10;

const [count, escrow, proofs] = [Number(process.argv[2]), process.argv[3], Number(process.argv[4])];
const values = Array.from({ length: count }, (_, at) => [
  escrow,
  Math.floor(at / SLOTS),
  (at % SLOTS) + 1,
  at * 7 + 1,
]);

const now = () => {
  const { user, system } = process.cpuUsage();
  return { wall: performance.now() / 1000, cpu: (user + system) / 1e6 };
};

const began = now();
const tree = StandardMerkleTree.of(values, TYPES);
const built = now();
for (let at = 0; at < proofs; at++) tree.getProof(Math.floor((at * count) / proofs));
const proven = now();

const between = (from, to) => ({ seconds: to.wall - from.wall, cpu_seconds: to.cpu - from.cpu });
const found = {
  tree: between(began, built),
  proofs: between(built, proven),
  rss_mb: Math.round(process.resourceUsage().maxRSS * 1.024) / 1000,
  root: tree.root,
};
process.stdout.write(JSON.stringify(found) + "\n");
