/**
 * Stands in for the browser's WebSocket, whose other end is the test: it sees what was sent and decides what arrives.
 * Only for timing that a real network does not give on demand; against real services the journeys run.
 */
export class ScriptedSocket extends EventTarget {
  readonly sent: string[] = [];
  readyState: number = WebSocket.CONNECTING;
  binaryType: BinaryType = 'blob';
  closedWith: { code: number; reason: string } | undefined;

  /** As the browser's own type, for the code under test. */
  get asWebSocket(): WebSocket {
    return this as unknown as WebSocket;
  }

  open(): void {
    this.readyState = WebSocket.OPEN;
    this.dispatchEvent(new Event('open'));
  }

  receive(data: string | ArrayBuffer): void {
    this.dispatchEvent(new MessageEvent('message', { data }));
  }

  /** The other end, or the network, closes it. */
  end(code = 1006, reason = ''): void {
    this.readyState = WebSocket.CLOSED;
    this.dispatchEvent(new CloseEvent('close', { code, reason }));
  }

  send(text: string): void {
    if (this.readyState === WebSocket.CONNECTING) throw new DOMException('not open', 'InvalidStateError');
    if (this.readyState === WebSocket.OPEN) this.sent.push(text);
  }

  close(code = 1000, reason = ''): void {
    if (this.readyState >= WebSocket.CLOSING) return;
    this.readyState = WebSocket.CLOSING;
    this.closedWith = { code, reason };
  }
}
