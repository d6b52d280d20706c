// Leader and followers as processes that obey lines.
import {spawn} from 'node:child_process';
import {createInterface} from 'node:readline';

export class NodeProcess {
  constructor(role, args) {
    this.child = spawn(process.env.PAGE_NODE, [role, ...args], {stdio: ['pipe', 'pipe', 'inherit']});
    this.waiting = [];
    this.lines = [];
    createInterface({input: this.child.stdout}).on('line', line => {
      const waiter = this.waiting.shift();
      if (waiter) waiter(line);
      else this.lines.push(line);
    });
  }

  static async start(role, args) {
    const node = new NodeProcess(role, args);
    const [word, http, replication] = (await node.line()).split(' ');
    if (word !== 'ready') throw new Error(role + ' does not start: ' + word + ' ' + http);
    node.endpoint = '127.0.0.1:' + http;
    node.replication = '127.0.0.1:' + replication;
    return node;
  }

  line() {
    if (this.lines.length) return Promise.resolve(this.lines.shift());
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('a process does not answer')), 30000);
      this.waiting.push(line => { clearTimeout(timer); resolve(line); });
    });
  }

  // The answer behind "ok".
  async tell(command) {
    this.child.stdin.write(command + '\n');
    const answer = await this.line();
    if (!answer.startsWith('ok')) throw new Error(command + ': ' + answer);
    return answer.slice(3);
  }

  signal(name) { this.child.kill(name); }

  async stop() {
    this.child.kill('SIGCONT');
    const ended = new Promise(resolve => this.child.on('exit', (code, signal) => resolve(signal || code)));
    this.child.stdin.end();
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 20000);
    const how = await ended;
    clearTimeout(timer);
    return how;
  }
}
