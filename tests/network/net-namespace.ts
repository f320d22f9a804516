/** One network namespace of the Linux kernel, made and configured with iproute2. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

export class NetNamespace {
  readonly name: string;

  private constructor(name: string) {
    this.name = name;
  }

  /** With its loopback device up. Throws where this user may not make one. */
  static async create(name: string): Promise<NetNamespace> {
    await run('ip', ['netns', 'add', name]);
    const namespace = new NetNamespace(name);
    try {
      await namespace.configure(['link set lo up']);
    } catch (error) {
      await removeNamespace(name);
      throw error;
    }
    return namespace;
  }

  /** Stands before a command that is to run in here; the process id is that of the command itself. */
  get prefix(): readonly string[] {
    return ['ip', 'netns', 'exec', this.name];
  }

  /** Carries out commands of `ip`, in order, to the first that fails. */
  async configure(commands: readonly string[]): Promise<void> {
    await this.#batch('ip', commands);
  }

  /** The same with commands of `tc`. */
  async shape(commands: readonly string[]): Promise<void> {
    await this.#batch('tc', commands);
  }

  /** Sets a kernel parameter of the namespace, such as `net/ipv4/ip_forward`. */
  async setParameter(path: string, value: number): Promise<void> {
    await this.run('sh', ['-c', `echo ${value} > /proc/sys/${path}`]);
  }

  /** Runs a program to its end; resolves with what it wrote. */
  async run(command: string, args: readonly string[]): Promise<string> {
    const [program = '', ...before] = this.prefix;
    return (await run(program, [...before, command, ...args])).stdout;
  }

  async #batch(program: 'ip' | 'tc', commands: readonly string[]): Promise<void> {
    const running = run(program, ['-n', this.name, '-batch', '-']);
    running.child.stdin?.end(`${commands.join('\n')}\n`);
    await running;
  }
}

/** The names of all namespaces of this machine. */
export async function listNamespaces(): Promise<string[]> {
  const { stdout } = await run('ip', ['netns', 'list']);
  // A namespace that a peer has a number for is listed as `name (id: 0)`.
  return stdout.split('\n').flatMap((line) => line.split(' ', 1).filter(Boolean));
}

/** Takes its devices with it; what still runs in there keeps it alive, unreachable, until it ends. */
export async function removeNamespace(name: string): Promise<void> {
  await run('ip', ['netns', 'delete', name]);
}
