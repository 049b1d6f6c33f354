#!/usr/bin/env node
// Writes idle.txt: the functions that run between the start of a gateway and its first answered client.
//
//   deploy/layout/make.mjs [BINARY]     an unstripped `dist` binary; without one it is built here
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
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const root = resolve(here, '../..')
/** A module is listed whole when this part of its bytes belongs to functions that ran. */
const WHOLE = 0.85
/** Bytes of a mangled name that are kept; the rest tells only instances of one generic function apart. */
const NAME_LIMIT = 160
const TOKEN = 'layout-0123456789abcdef0123456789abcdef'

const run = (program, args, options = {}) =>
  execFileSync(program, args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28, ...options })

const binary = process.argv[2] ? resolve(process.argv[2]) : build()
const scratch = mkdtempSync(join(tmpdir(), 'openclaw-layout-'))
try {
  const functions = symbols(binary)
  const ran = touched(functions, await trace(binary))
  const lines = [...rust(functions, ran), ...runtime(functions, ran)]
  writeFileSync(join(here, 'idle.txt'), `${lines.join('\n')}\n`)
  const bytes = [...ran].reduce((sum, index) => sum + functions[index].size, 0)
  console.log(`${ran.size} functions ran (${(bytes / 1e6).toFixed(1)} MB); idle.txt has ${lines.length} patterns`)
} finally {
  rmSync(scratch, { recursive: true })
}

function build() {
  run('cargo', ['rustc', '--locked', '--profile', 'dist', '--bin', 'openclaw', '--', '-C', 'strip=none'], { stdio: 'inherit' })
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
  // Counts are taken before the end, so that the way out is not among them.
  run('callgrind_control', ['--dump', String(valgrind.pid)])
  valgrind.kill('SIGTERM')
  await ended

  const ran = []
  let inside = false
  for await (const line of createInterface({ input: createReadStream(`${counts}.1`) })) {
    // What stands outside `.text`, as the functions of an earlier list do, belongs to no object for valgrind.
    if (line.startsWith('ob=')) inside = [file, '???'].includes(line.slice(3))
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
    if (at && address < at.start + at.size) found.add(low - 1)
  }
  return found
}

/** The segments of a legacy mangled path, without its hash; null for other names. */
function path(name) {
  const match = /^_ZN(.*)17h[0-9a-f]{16}E/.exec(name)
  if (!match) return null
  const segments = []
  for (let rest = match[1]; rest; ) {
    const digits = /^\d+/.exec(rest)[0]
    const end = digits.length + Number(digits)
    segments.push(rest.slice(0, end))
    rest = rest.slice(end)
  }
  return segments
}

/** Patterns for our functions and those of libraries: whole modules where nearly all of one ran. */
function rust(functions, ran) {
  const names = new Set([...ran].map((index) => path(functions[index].name)?.join('')).filter(Boolean))
  const node = () => ({ children: new Map(), bytes: 0, ran: 0 })
  const top = node()
  for (const { name, size } of functions) {
    const segments = path(name)
    if (!segments) continue
    const share = names.has(segments.join('')) ? size : 0
    let at = top
    for (const segment of segments) {
      if (!at.children.has(segment)) at.children.set(segment, node())
      at = at.children.get(segment)
      at.bytes += size
      at.ran += share
    }
    at.own ||= share > 0
  }
  const patterns = new Set()
  const walk = (at, prefix) => {
    if (prefix && at.ran === 0) return
    if (prefix && (at.ran >= WHOLE * at.bytes || at.children.size === 0)) {
      patterns.add(`_ZN${prefix}${at.children.size ? '' : '17h'}`.slice(0, NAME_LIMIT))
      return
    }
    if (at.own) patterns.add(`_ZN${prefix}17h`.slice(0, NAME_LIMIT))
    for (const [segment, child] of at.children) walk(child, prefix + segment)
  }
  walk(top, '')
  return [...patterns].sort()
}

/** Patterns for the standard library, whose names carry the compiler's hashes, and for C and assembly. */
function runtime(functions, ran) {
  const names = [...ran].map((index) => functions[index].name).filter((name) => !path(name))
  const patterns = names.map((name) =>
    name.replace(/\.llvm\.\d+$/, '').replace(/Cs[0-9A-Za-z]+_/g, 'Cs*_').slice(0, NAME_LIMIT),
  )
  return [...new Set(patterns)].sort()
}
