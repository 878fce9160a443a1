// Reads [[[escrow, job, license, units], ...], ...] on stdin, one list of leaves per tree, and prints
// for each tree its root and the proof of every leaf in the order in which they came.
import { readFileSync } from "node:fs";
import { StandardMerkleTree } from "@openzeppelin/merkle-tree";

const TYPES = ["address", "uint256", "uint256", "uint256"];

const describe = (values) => {
  const tree = StandardMerkleTree.of(values, TYPES);
  return {
    root: tree.root,
    leaves: values.map((value) => tree.leafHash(value)),
    proofs: values.map((_, index) => tree.getProof(index)),
  };
};

const trees = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(trees.map(describe)));
