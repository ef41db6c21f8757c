package core

import (
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
)

// CommitPosition is an offset to commit: of the next record to read.
type CommitPosition struct {
	TopicPartition
	Offset api.Offset
	// Metadata is kept with the offset; up to 4096 bytes of UTF-8.
	Metadata string
}

// commits are a consumer's, one of which is under way at a time, in the order in which they
// were asked for.
type commits struct {
	busy bool
	// sequence counts them, so that a copy which comes late undoes no later one.
	sequence uint64
	// at is when what was processed is committed next, with AutoCommit.
	at       env.Time
	failures int
	waiting  []commitCall
}

// commitCall is a commit that waits for its turn; positions are chosen when it comes.
type commitCall struct {
	positions func() []position
	done      func(*api.Error)
}

// position is an offset to commit of a share.
type position struct {
	share    *share
	offset   api.Offset
	metadata string
}

// maxCommits bounds the commits that wait.
const maxCommits = 1024

// Commit commits what is processed: what was handed out before the last poll.
func (k *Consumer) Commit(done func(*api.Error)) {
	k.enqueue(commitCall{func() []position { return processedOf(k.shares) }, done})
}

// CommitOffsets commits positions, all or none. One that is ahead of what was handed out,
// or not of a partition of the member, is refused. With AutoCommit a position goes up
// again by itself, never down.
func (k *Consumer) CommitOffsets(list []CommitPosition, done func(*api.Error)) {
	var chosen []position
	for _, p := range list {
		s := k.share(p.TopicPartition)
		var err *api.Error
		switch {
		case s == nil || s.place == placeUnknown:
			err = notOwned(k.options.Group, p.TopicPartition)
		case p.Offset < 0 || p.Offset > s.handed:
			err = api.Errorf(api.Code_INVALID_REQUEST, "commit of offset %d in %q partition %d, of which records below %d were handed out; commit no more than that", p.Offset, s.key.Topic, s.key.Partition, s.handed)
		default:
			err = checkGroup(k.options.Group, p.Metadata)
		}
		if err != nil {
			k.later(func() { done(err) })
			return
		}
		chosen = append(chosen, position{s, p.Offset, p.Metadata})
	}
	k.enqueue(commitCall{func() []position { return chosen }, done})
}

func notOwned(group string, p TopicPartition) *api.Error {
	return api.Errorf(api.Code_MEMBER_FENCED, "the member of group %q does not own %q partition %d; commit what it owns", group, p.Topic, p.Partition)
}

func (k *Consumer) enqueue(c commitCall) {
	switch {
	case k.isStopped:
		k.later(func() { c.done(closedConsumer(k.options.Group)) })
	case len(k.commits.waiting) >= maxCommits:
		k.later(func() {
			c.done(api.Errorf(api.Code_OVERLOADED, "group %q has %d commits waiting, the bound; wait for some to end", k.options.Group, maxCommits))
		})
	default:
		k.commits.waiting = append(k.commits.waiting, c)
		k.pump()
	}
}

// processedOf lists what is processed and not committed. Positions never go back.
func processedOf(shares []*share) []position {
	var list []position
	for _, s := range shares {
		if s.place != placeUnknown && s.told && s.done > s.committed {
			list = append(list, position{share: s, offset: s.done})
		}
	}
	return list
}

// pumpCommits begins the commit whose turn it is.
func (k *Consumer) pumpCommits(now env.Time) {
	c := &k.commits
	if c.busy {
		return
	}
	if len(c.waiting) > 0 {
		next := c.waiting[0]
		c.waiting = c.waiting[1:]
		k.commit(next.positions(), k.options.Session, next.done)
		return
	}
	if k.options.AutoCommit <= 0 {
		c.at = never
		return
	}
	if now < c.at {
		return
	}
	c.at = now + k.options.AutoCommit
	if list := processedOf(k.shares); len(list) > 0 && k.member.id != 0 {
		k.commit(list, k.options.Session, k.autoCommitted)
	}
}

// autoCommitted has a commit that failed tried again soon, and a poll told of what that will
// not mend.
func (k *Consumer) autoCommitted(err *api.Error) {
	c := &k.commits
	if err == nil {
		c.failures = 0
		return
	}
	c.failures++
	c.at = min(c.at, k.client.clock.Now()+k.client.backoff(c.failures))
	k.complainOf(err)
}

// commit sends a commit; done is told how it ended. Without anything to commit it has.
func (k *Consumer) commit(list []position, timeout env.Time, done func(*api.Error)) {
	request := &api.CommitOffsetsRequest{
		Group: k.options.Group, Instance: k.options.Instance, Member: k.member.id, Epoch: k.member.epoch, Sequence: k.commits.sequence + 1,
	}
	for _, p := range list {
		if p.share.gone {
			err := notOwned(k.options.Group, p.share.key)
			k.settled(func() { done(err) })
			return
		}
		request.Offsets = append(request.Offsets, &api.GroupOffset{
			Partition: p.share.groupPartition(), Offset: int64(p.offset), Metadata: p.metadata,
		})
	}
	if len(list) == 0 {
		k.settled(func() { done(nil) })
		return
	}
	life, ended := k.member.life, k.committing(list)
	k.commits.busy = true
	k.commits.sequence++
	k.client.CommitOffsets(request, timeout, func(r Result) {
		ended(r)
		k.commits.busy = false
		k.committed(list, life, r.Err)
		done(r.Err)
		k.pump()
	})
}

// committing tells whoever looks on of a commit, and gives who hears of its result.
func (k *Consumer) committing(list []position) func(Result) {
	if k.events.Committing == nil {
		return func(Result) {}
	}
	var told []CommitPosition
	for _, p := range list {
		told = append(told, CommitPosition{p.share.key, p.offset, p.metadata})
	}
	return k.events.Committing(told)
}

// settled ends a commit that sent nothing, in its turn.
func (k *Consumer) settled(then func()) {
	k.commits.busy = true
	k.later(func() {
		k.commits.busy = false
		then()
		k.pump()
	})
}

func (k *Consumer) committed(list []position, life uint64, err *api.Error) {
	switch {
	case err == nil:
		for _, p := range list {
			p.share.committed = p.offset
		}
	case life != k.member.life:
	case err.Code == api.Code_MEMBER_FENCED:
		// Something changed that the member has not heard of.
		k.beatSoon()
	case err.Code == api.Code_UNKNOWN_MEMBER:
		k.lose(false)
	case err.Code == api.Code_FENCED_INSTANCE:
		k.fail(err)
	}
}

// revocation is the giving up of some shares: commit, tell, release.
type revocation struct {
	shares []*share
	// at is when the commit is tried again.
	at       env.Time
	failures int
	// committed: there is nothing left to commit. told: Revoked was called.
	committed, told bool
}

func (r *revocation) has(s *share) bool { return r != nil && slices.Contains(r.shares, s) }

func (r *revocation) retryAt() env.Time {
	if r == nil || r.committed {
		return never
	}
	return r.at
}

// pumpRevocation gives up what has to be, while nothing of it is being processed.
func (k *Consumer) pumpRevocation(now env.Time) {
	if k.revoking == nil && (k.poll != nil || k.closing != nil) {
		var list []*share
		for _, s := range k.shares {
			if s.giving {
				list = append(list, s)
			}
		}
		if len(list) > 0 {
			k.revoking = &revocation{shares: list, committed: k.options.AutoCommit <= 0}
		}
	}
	switch r := k.revoking; {
	case r == nil || r.told:
	case !r.committed:
		if !k.commits.busy && now >= r.at {
			k.commit(processedOf(r.shares), k.revokeTimeout(), func(err *api.Error) { k.revokeCommitted(r, err) })
		}
	default:
		r.told = true
		k.tellRevoked(r)
	}
}

// tellRevoked tells of what is about to be released, where there is anything to tell.
func (k *Consumer) tellRevoked(r *revocation) {
	var list []TopicPartition
	for _, s := range r.shares {
		if !s.gone && s.told {
			list = append(list, s.key)
		}
	}
	if len(list) == 0 || k.events.Revoked == nil {
		k.release(r)
		return
	}
	k.later(func() {
		k.events.Revoked(list, func() {
			k.release(r)
			k.pump()
		})
	})
}

func (k *Consumer) revokeTimeout() env.Time {
	if k.closing != nil {
		return closeTimeout
	}
	return k.options.Session
}

// revokeCommitted goes on when the positions are committed, or cannot be. What may still
// succeed is tried until the partitions have to be given up, but not by who is closing.
func (k *Consumer) revokeCommitted(r *revocation, err *api.Error) {
	if err != nil && err.Code.Retriable() && k.closing == nil {
		r.failures++
		r.at = k.client.clock.Now() + k.client.backoff(r.failures)
		return
	}
	if err != nil && k.closing != nil {
		k.closing.err = err
	}
	r.committed = true
}

// release gives the shares of a revocation up.
func (k *Consumer) release(r *revocation) {
	if k.revoking != r || k.isStopped {
		return
	}
	k.revoking = nil
	for _, s := range r.shares {
		if !s.gone {
			k.member.given = append(k.member.given, given{s.key, s.giveBy})
		}
	}
	k.disown(r.has)
	k.beatSoon()
}

// closing is a Close without an answer.
type closing struct {
	leaving bool
	err     *api.Error
	done    func(*api.Error)
}

func (c *closing) isLeaving() bool { return c != nil && c.leaving }

// Close says that all that was handed out is processed, gives everything up in order as
// when it is revoked, leaves the group unless the member is static, and stops. done is
// told if the last commit failed.
func (k *Consumer) Close(done func(*api.Error)) {
	if k.isStopped || k.closing != nil {
		k.later(func() { done(closedConsumer(k.options.Group)) })
		return
	}
	k.processed()
	k.closing = &closing{done: done}
	if k.poll != nil {
		k.endPoll(nil, closedConsumer(k.options.Group))
	}
	by := k.client.clock.Now() + k.options.Rebalance
	for _, s := range k.shares {
		if !s.giving {
			s.give(by)
		}
	}
	k.pump()
}

// pumpClose leaves once everything is given up, and stops.
func (k *Consumer) pumpClose() {
	c, m := k.closing, &k.member
	joining := m.asking && m.id == 0
	if c == nil || c.leaving || joining || len(k.shares) > 0 || k.revoking != nil || k.commits.busy || len(k.commits.waiting) > 0 {
		return
	}
	if m.id == 0 || k.options.Instance != "" {
		k.stop()
		return
	}
	c.leaving = true
	k.client.LeaveGroup(k.options.Group, m.id, closeTimeout, func(Result) { k.stop() })
}

func (k *Consumer) stop() {
	k.isStopped = true
	k.member = membership{life: k.member.life + 1}
	k.client.timers.stop(&k.timer)
	done, err := k.closing.done, k.closing.err
	k.later(func() { done(err) })
}
