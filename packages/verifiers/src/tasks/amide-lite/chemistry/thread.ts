import { workerData } from 'node:worker_threads';
import type { Asked, Question, Reply, ThreadData } from '../protocol.js';
import { Chemistry } from './examine.js';
import { isRefusal, loadRdkit } from './rdkit.js';

/**
 * The thread in which RDKit lives. It answers one question after the other. RDKit has no caps of its own: whoever asks ends the
 * thread when an answer takes too long, and after a crash, which leaves RDKit's memory in disorder.
 */
const { port, replies } = workerData as ThreadData;

/** Exercises every part of RDKit that is used, which takes long the first time. */
const PROBE = { smiles: 'O=C(NC1CC1)c1ccccc1', scaffold: 'O=C(NC1CC1)c1ccccc1' };

function send(reply: Reply): void {
  port.postMessage(reply);
  Atomics.add(replies, 0, 1);
  Atomics.notify(replies, 0);
}

async function open(): Promise<void> {
  const rdkit = await loadRdkit();
  const chemistry = new Chemistry(rdkit);
  const works = (): boolean => {
    const found = chemistry.examine(PROBE.smiles);
    return found?.scaffold === PROBE.scaffold && found.routes.length === 1;
  };
  const answer = (question: Question): Reply['answer'] => {
    if (question.kind === 'space') return chemistry.space(question.blocks);
    try {
      return chemistry.examine(question.smiles);
    } catch (error) {
      if (isRefusal(error) && works()) return null;
      throw error;
    }
  };
  if (!works()) throw new Error(`RDKit does not know ${PROBE.smiles}.`);
  port.on('message', ({ id, question }: Asked) => {
    try {
      send({ id, answer: answer(question), memoryBytes: rdkit.memoryBytes() });
    } catch (error) {
      send({ id, crash: String(error), memoryBytes: rdkit.memoryBytes() });
    }
  });
  send({ id: 0, memoryBytes: rdkit.memoryBytes() });
}

open().catch((error: unknown) => send({ id: 0, crash: `RDKit cannot be loaded: ${error}`, memoryBytes: 0 }));
