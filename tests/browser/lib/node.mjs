// A headless node as a person starts it, and what it finds on a machine: a screen, a desktop, a receiver of satellites.
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { daemonBinary } from '../../conformance/lib/daemon.mjs';

export const run = promisify(execFile);

/** A program that is ended with the test, and said what it says. */
class Running {
  constructor(command, args, options = {}) {
    this.output = '';
    this.child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    this.ended = new Promise((resolve) => {
      this.child.on('exit', (code, signal) => resolve({ code, signal }));
      this.child.on('error', (error) => {
        this.output += String(error);
        resolve({ code: -1, signal: null });
      });
    });
    void this.ended.then(() => (this.over = true));
    for (const stream of [this.child.stdout, this.child.stderr]) stream?.on('data', (data) => (this.output += data));
  }

  /** Waits until it has said this; gives the match. */
  async says(pattern, ms = 30_000) {
    const deadline = Date.now() + ms;
    for (;;) {
      const found = pattern.exec(this.output);
      if (found) return found;
      if (this.over || Date.now() > deadline) throw new Error(`it did not say ${pattern}; it said:\n${this.output}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async stop(signal = 'SIGTERM') {
    if (!this.over) this.child.kill(signal);
    const hard = setTimeout(() => this.child.kill('SIGKILL'), 10_000);
    const how = await this.ended;
    clearTimeout(hard);
    return how;
  }
}

/** `openclaw node run` with a home of its own; `more` are variables of its desktop. */
export async function startNode({ url, token, name, args = [], more = {} }) {
  const folder = await mkdtemp(path.join(tmpdir(), 'openclaw-node-'));
  const env = { PATH: process.env.PATH, HOME: folder, LANG: 'C.UTF-8', NO_COLOR: '1', OPENCLAW_STATE_DIR: path.join(folder, 'state'), ...more };
  const node = new Running(daemonBinary(), ['node', 'run', '--url', url, '--token', token, '--display-name', name, ...args], { env });
  node.folder = folder;
  node.end = async () => {
    const how = await node.stop();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    return how;
  };
  await node.says(/connected to /);
  return node;
}

/** An X display of this size, in software. */
export async function startDisplay(width, height) {
  const xvfb = new Running('Xvfb', ['-displayfd', '1', '-nolisten', 'tcp', '-ac', '-screen', '0', `${width}x${height}x24`]);
  const [, number] = await xvfb.says(/^(\d+)\n/m);
  return { name: `:${number}`, stop: () => xvfb.stop() };
}

/** A D-Bus session with a desktop's notifications (dunst) on that display. */
export async function startDesktop(display) {
  const bus = new Running('dbus-daemon', ['--session', '--nofork', '--print-address=1']);
  const [, address] = await bus.says(/^(unix:\S+)\n/m);
  const env = { ...process.env, DISPLAY: display, DBUS_SESSION_BUS_ADDRESS: address };
  const dunst = new Running('dunst', ['-conf', '/dev/null'], { env });
  return {
    variables: { DISPLAY: display, DBUS_SESSION_BUS_ADDRESS: address },
    /** What it showed so far. */
    shown: async () => {
      // What is shown goes into its history when it is closed.
      await run('dunstctl', ['close-all'], { env }).catch(() => {});
      const { stdout } = await run('dunstctl', ['history'], { env });
      return JSON.parse(stdout).data[0].map((one) => [one.summary.data, one.body.data]);
    },
    stop: async () => {
      await dunst.stop();
      await bus.stop();
    },
  };
}

const sentence = (text) => {
  const sum = [...text].reduce((all, letter) => all ^ letter.charCodeAt(0), 0);
  return `$${text}*${sum.toString(16).toUpperCase().padStart(2, '0')}`;
};

/** gpsd, fed by gpsfake with a receiver that stands in Berlin. */
export async function startGps(port) {
  const folder = await mkdtemp(path.join(tmpdir(), 'openclaw-gps-'));
  const lines = [];
  for (let second = 0; second < 60; second += 1) {
    const time = `1200${String(second).padStart(2, '0')}.00`;
    lines.push(sentence(`GPGGA,${time},5231.2000,N,01324.3000,E,1,08,0.9,34.0,M,45.0,M,,`));
    lines.push(sentence('GPGSA,A,3,01,02,03,04,05,06,07,08,,,,,1.5,0.9,1.2'));
    lines.push(sentence(`GPRMC,${time},A,5231.2000,N,01324.3000,E,2.0,90.0,010126,,,A`));
  }
  const file = path.join(folder, 'berlin.nmea');
  await writeFile(file, `${lines.join('\r\n')}\r\n`);
  // gpsd is where Debian has programs of the system.
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` };
  const fake = new Running('gpsfake', ['-q', '-u', '-n', '-c', '0.2', '-P', String(port), file], { env, detached: true });
  const deadline = Date.now() + 20_000;
  for (;;) {
    const open = await new Promise((resolve) => {
      const socket = net.connect(port, '127.0.0.1', () => resolve(true));
      socket.on('error', () => resolve(false));
      socket.on('connect', () => socket.destroy());
    });
    if (open) break;
    if (fake.over || Date.now() > deadline) throw new Error(`gpsd does not listen: ${fake.output}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    stop: async () => {
      // With the gpsd that it began.
      try {
        process.kill(-fake.child.pid, 'SIGKILL');
      } catch {
        // It ended.
      }
      await fake.ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** What ffprobe says of a file. */
export async function probe(file) {
  const { stdout } = await run('ffprobe', ['-v', 'error', '-of', 'json', '-show_streams', '-show_format', file]);
  const { streams, format } = JSON.parse(stdout);
  const of = (kind) => streams.find((stream) => stream.codec_type === kind);
  return { video: of('video'), audio: of('audio'), seconds: Number(format.duration) };
}

/** The pixels of a picture: width, height, and red, green and blue of each. */
export async function pixels(file) {
  const { video } = await probe(file);
  const { stdout } = await run('ffmpeg', ['-v', 'error', '-i', file, '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-'], { encoding: 'buffer', maxBuffer: 1 << 28 });
  const { width, height } = video;
  return { width, height, at: (x, y) => [...stdout.subarray((y * width + x) * 3, (y * width + x) * 3 + 3)] };
}
