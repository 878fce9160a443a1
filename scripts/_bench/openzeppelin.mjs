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

const began = performance.now();
const tree = StandardMerkleTree.of(values, TYPES);
const built = performance.now();
for (let at = 0; at < proofs; at++) tree.getProof(Math.floor((at * count) / proofs));
const proven = performance.now();

const found = {
  tree_seconds: (built - began) / 1000,
  proofs_seconds: (proven - built) / 1000,
  rss_mb: Math.round(process.resourceUsage().maxRSS * 1.024) / 1000,
  root: tree.root,
};
process.stdout.write(JSON.stringify(found) + "\n");
