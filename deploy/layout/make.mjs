#!/usr/bin/env node
// Writes idle.txt: the functions that run between the start of a gateway and its first answered client.
//
//   deploy/layout/make.mjs [BINARY]     an unstripped `dist` binary that is not laid out; without one it is built here
//
// `build.rs` has the linker put these functions side by side in the `dist` profile. The kernel maps a program in
// windows of 16 pages: where what runs is scattered between what does not, an idle daemon holds nearly all of its
// text. Nothing depends on the list being right; a function that it misses costs its window. Make it anew after
// large changes, when the idle figure of `tests/bench/run` has grown.
//
// Needs valgrind (it counts instructions, so that the list is of what ran, not of what was sampled).

import { execFileSync, spawn } from 'node:child_process'
import { createReadStream, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const root = resolve(here, '../..')
/** Bytes of a mangled name that are kept; few names are longer, and what is behind them matters little. */
const NAME_LIMIT = 240
/** How long the gateway is watched when nobody asks it anything. */
const IDLE_MS = 10_000
const TOKEN = 'layout-0123456789abcdef0123456789abcdef'

const run = (program, args, options = {}) =>
  execFileSync(program, args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28, ...options })

const binary = process.argv[2] ? resolve(process.argv[2]) : build()
const scratch = mkdtempSync(join(tmpdir(), 'openclaw-layout-'))
try {
  const functions = symbols(binary)
  const ran = touched(functions, await trace(binary))
  const lines = [...new Set([...ran].map((index) => pattern(functions[index].name)))].sort()
  // Functions with the same code are one, and are laid out once.
  const sizes = new Map([...ran].map((index) => [functions[index].start, functions[index].size]))
  const bytes = [...sizes.values()].reduce((sum, size) => sum + size, 0)
  // `deploy/layout/check` holds later binaries against it.
  writeFileSync(join(here, 'idle.txt'), `# bytes: ${bytes}\n${lines.join('\n')}\n`)
  console.log(`${ran.size} functions ran (${(bytes / 1e6).toFixed(1)} MB); idle.txt has ${lines.length} patterns`)
} finally {
  rmSync(scratch, { recursive: true })
}

function build() {
  run('cargo', ['rustc', '--locked', '--profile', 'dist', '--bin', 'openclaw', '--', '-C', 'strip=none'], {
    // Valgrind does not know whose functions those are that stand outside `.text`.
    env: { ...process.env, OPENCLAW_LAYOUT: 'off', RUSTFLAGS: '-Csymbol-mangling-version=v0' },
    stdio: 'inherit',
  })
  return join(process.env.CARGO_TARGET_DIR ?? join(root, 'target'), 'dist/openclaw')
}

/** Functions by address: `{start, size, name}`. */
function symbols(file) {
  return run('nm', ['-S', '--defined-only', file])
    .split('\n')
    .map((line) => line.split(' '))
    .filter((fields) => fields.length === 4 && /^[tTwW]$/.test(fields[2]))
    .map(([start, size, , name]) => ({ start: parseInt(start, 16), size: parseInt(size, 16), name }))
    .sort((a, b) => a.start - b.start)
}

/** Runs a gateway below callgrind until a client was answered; returns the addresses of what ran. */
async function trace(file) {
  const env = {
    ...process.env,
    OPENCLAW_ALLOW_MULTI_GATEWAY: '1',
    OPENCLAW_GATEWAY_TOKEN: TOKEN,
    OPENCLAW_STATE_DIR: join(scratch, 'state'),
    OLLAMA_HOST: '127.0.0.1:1',
  }
  const counts = join(scratch, 'counts')
  const valgrind = spawn(
    'valgrind',
    ['--tool=callgrind', '--dump-instr=yes', '--compress-strings=no', '--compress-pos=no',
      `--callgrind-out-file=${counts}`, file, 'gateway', '--port', '0'],
    { env, stdio: ['ignore', 'pipe', 'pipe'] },
  )
  const ended = new Promise((done) => valgrind.on('exit', done))
  const url = await new Promise((found, lost) => {
    let text = ''
    const look = (chunk) => {
      text += chunk
      const port = /127\.0\.0\.1:(\d+)/.exec(text)
      if (port) found(`ws://127.0.0.1:${port[1]}`)
    }
    valgrind.stdout.on('data', look)
    valgrind.stderr.on('data', look)
    valgrind.on('exit', () => lost(new Error(`the gateway ended before it served:\n${text}`)))
  })
  run(file, ['health', '--url', url, '--token', TOKEN], { env })
  // What a gateway does by the clock counts too.
  await sleep(IDLE_MS)
  // Counts are taken before the end, so that the way out is not among them.
  run('callgrind_control', ['--dump', String(valgrind.pid)])
  valgrind.kill('SIGTERM')
  await ended

  const ran = []
  let inside = false
  for await (const line of createInterface({ input: createReadStream(`${counts}.1`) })) {
    if (line.startsWith('ob=')) inside = line.slice(3) === file
    else if (inside && line.startsWith('0x')) ran.push(parseInt(line, 16))
  }
  return ran
}

/** Indexes of the functions that these addresses lie in. */
function touched(functions, addresses) {
  const found = new Set()
  for (const address of addresses) {
    let low = 0
    let high = functions.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (functions[middle].start <= address) low = middle + 1
      else high = middle
    }
    const at = functions[low - 1]
    if (!at || address >= at.start + at.size) continue
    // Functions with the same code are one, under the name of any of them.
    for (let index = low - 1; functions[index]?.start === at.start; index--) found.add(index)
  }
  return found
}

/**
 * A pattern for a function's name. What depends on where and with what the crates were compiled is left open: their
 * hashes, and the places in the name that later parts of it refer to.
 */
function pattern(name) {
  return name
    .replace(/\.llvm\.\d+$/, '')
    .replace(/Cs[0-9A-Za-z]+_/g, 'Cs*_')
    .replace(/B[0-9A-Za-z]{0,3}_/g, 'B*_')
    .slice(0, NAME_LIMIT)
}
