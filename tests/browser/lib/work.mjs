// What a page costs, in numbers that a busy machine does not change: CPU time of its main thread, bytes of its heap, nodes.

/** Gives a function that tells how many milliseconds the page's main thread has worked since now. */
export async function mainThread({ page, context }) {
  const session = await context.newCDPSession(page);
  await session.send('Performance.enable', { timeDomain: 'threadTicks' });
  const worked = async () => {
    const { metrics } = await session.send('Performance.getMetrics');
    return metrics.find(({ name }) => name === 'TaskDuration').value * 1_000;
  };
  const before = await worked();
  return async () => (await worked()) - before;
}

/** What the page holds on to, after its garbage has been collected. */
export async function held({ page, context }) {
  const session = await context.newCDPSession(page);
  await session.send('Performance.enable');
  // The first collection frees what the second one finds unreachable: weak references, detached trees.
  for (let round = 0; round < 3; round += 1) await session.send('HeapProfiler.collectGarbage');
  const { metrics } = await session.send('Performance.getMetrics');
  const of = (wanted) => metrics.find(({ name }) => name === wanted).value;
  const facts = { heap: of('JSHeapUsedSize'), nodes: of('Nodes'), listeners: of('JSEventListeners') };
  await session.detach();
  return facts;
}

/**
 * The tasks of the page's main thread while `work` runs, longest first, in milliseconds of CPU time. A frame is dropped
 * where one of them takes longer than a frame; waiting for the processor is not in them.
 */
export async function tasksDuring(browser, page, work) {
  await browser.startTracing(page, { categories: ['toplevel', 'disabled-by-default-devtools.timeline', '__metadata'] });
  await work();
  const { traceEvents } = JSON.parse(String(await browser.stopTracing()));
  const threads = traceEvents.filter(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain');
  const tasks = new Map(threads.map(({ pid, tid }) => [`${pid} ${tid}`, []]));
  for (const { name, ph, pid, tid, tdur } of traceEvents) {
    if (ph === 'X' && tdur !== undefined && /(^|::)RunTask$/.test(name)) tasks.get(`${pid} ${tid}`)?.push(tdur / 1_000);
  }
  // The page is the renderer that worked.
  const sum = (list) => list.reduce((total, ms) => total + ms, 0);
  const [mine] = [...tasks.values()].sort((one, other) => sum(other) - sum(one));
  return mine.sort((one, other) => other - one);
}
