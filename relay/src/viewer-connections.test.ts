import { CodedError, createId, type Id } from '@proofcast/shared';
import { describe, expect, test } from 'vitest';
import { ViewerConnections, type ViewerLink } from './viewer-connections.ts';

class NotedLink implements ViewerLink {
  readonly carrier = 'websocket';
  readonly userId: Id;
  readonly closedBy: string[] = [];

  constructor(userId: Id) {
    this.userId = userId;
  }
  close(error: CodedError): void {
    this.closedBy.push(error.code);
  }
}

describe('the connections of viewers', () => {
  test('[V12] are limited for each user, until one is closed', () => {
    const connections = new ViewerConnections({ maxPerUser: 2 });
    const [user, other] = [createId('user'), createId('user')];
    const links = [new NotedLink(user), new NotedLink(user)];
    for (const link of links) {
      connections.checkRoomFor(user);
      connections.add(link);
    }
    expect(() => connections.checkRoomFor(user)).toThrow(/at most 2/);
    connections.checkRoomFor(other);
    for (let twice = 0; twice < 2; twice++) connections.remove(links[0] as NotedLink);
    connections.checkRoomFor(user);
    connections.add(new NotedLink(user));
    expect(() => connections.checkRoomFor(user)).toThrow(/at most 2/);
    expect(connections.size).toBe(2);
  });

  test('are closed for one user, or for all', () => {
    const connections = new ViewerConnections({ maxPerUser: 9 });
    const [user, other] = [createId('user'), createId('user')];
    const links = [new NotedLink(user), new NotedLink(other), new NotedLink(user)];
    links.forEach((link) => connections.add(link));
    connections.closeUser(user, new CodedError('UNAUTHENTICATED', 'over'));
    connections.closeAll(new CodedError('SHUTTING_DOWN', 'over'));
    expect(links.map(({ closedBy }) => closedBy)).toEqual([
      ['UNAUTHENTICATED', 'SHUTTING_DOWN'],
      ['SHUTTING_DOWN'],
      ['UNAUTHENTICATED', 'SHUTTING_DOWN'],
    ]);
  });
});
