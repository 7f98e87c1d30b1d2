/** Entry of a data-plane thread. */
import { parentPort, workerData } from 'node:worker_threads'
import type { WorkerCommand } from '../pool/plan.ts'
import { EdgeWorker, type WorkerBoot } from './edge-worker.ts'

if (parentPort === null) throw new Error('edge/worker is the entry of a worker thread and runs nowhere else')
const port = parentPort
const boot = workerData as WorkerBoot
const worker = new EdgeWorker(boot, (event) => port.postMessage(event))
port.on('message', (command: WorkerCommand) => worker.command(command))
worker.apply(boot.plan)
