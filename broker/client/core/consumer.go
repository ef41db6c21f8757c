package core

import (
	"regexp"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
)

// ResetPolicy says where a group begins in a partition in which it has committed
// nothing, or whose records at the position were deleted.
type ResetPolicy uint8

const (
	// ResetEarliest begins with the first record that was not deleted.
	ResetEarliest ResetPolicy = iota
	// ResetLatest begins with what is produced from now on.
	ResetLatest
	// ResetFail begins nowhere: polls answer OFFSET_OUT_OF_RANGE.
	ResetFail
)

// ConsumerOptions are how a member of a group behaves. A zero field takes the default
// given with it.
type ConsumerOptions struct {
	// Group is the group's name, 1 to 249 bytes of UTF-8.
	Group string
	// Topics to read. Pattern, if set, adds those that there are whose names it matches;
	// it never matches names that begin with __.
	Topics  []string
	Pattern *regexp.Regexp
	// Instance makes the member a static one: whoever joins by the same name takes its
	// place with nothing moved, and closing does not leave the group. A consumer whose place
	// another has taken is done: its polls answer FENCED_INSTANCE.
	Instance string
	// Session is how long the member may be silent (10 s); Rebalance how long it may
	// take, from poll to poll, to give a partition up (60 s).
	Session, Rebalance env.Time
	// PollInterval is how long the application may take from the end of a poll to the next
	// (5 min). After that the consumer gives all up and leaves, and joins again when it is
	// polled: one that does not poll makes no progress, though it beats.
	PollInterval env.Time
	// Assignor spreads the partitions over the members (sticky).
	Assignor api.Assignor
	// AutoCommit is how often what was processed is committed; 0 never does.
	AutoCommit env.Time
	// Reset policy (earliest).
	Reset ResetPolicy
	// FetchBytes is fetched of a partition at a time (1 MiB), FetchWait waited for at its
	// leader (500 ms); BufferedBytes bounds what is fetched and not handed out (32 MiB),
	// but for one batch of each partition.
	FetchBytes    int32
	FetchWait     env.Time
	BufferedBytes int
	// Refresh is how often Pattern is matched again (30 s).
	Refresh env.Time
}

func (o ConsumerOptions) withDefaults() ConsumerOptions {
	set(&o.Session, 10*env.Second)
	set(&o.Rebalance, 60*env.Second)
	set(&o.PollInterval, 300*env.Second)
	set(&o.FetchBytes, 1<<20)
	set(&o.FetchWait, 500*env.Millisecond)
	set(&o.BufferedBytes, 32<<20)
	set(&o.Refresh, 30*env.Second)
	for _, wait := range []*env.Time{&o.Session, &o.Rebalance, &o.PollInterval, &o.AutoCommit, &o.FetchWait, &o.Refresh} {
		*wait = maxTime(*wait)
	}
	return o
}

// silence is how long a member may hear nothing and still own what it did: it might have
// been told to give something up, and not have heard it.
func (o ConsumerOptions) silence() env.Time { return min(o.Session, o.Rebalance) }

const (
	// beatsPerSession is how many beats there are in that time: two may be lost.
	beatsPerSession = 4
	// earlyBeats are those of a member that has joined and waits for what it is given: some
	// 3 s, longer than it takes others to hear that they have to give something up.
	earlyBeats = 16
	// minFetch is the least that is asked for at a time, in bytes, however many
	// partitions share the buffer.
	minFetch = 4 << 10
	// closeTimeout bounds the last commit of a consumer, and its leave.
	closeTimeout = 5 * env.Second
	// recordRoom is what a buffered record counts beside its key, value and headers.
	recordRoom = 64
	// defaultPoll is how many records a poll hands out that does not say.
	defaultPoll = 500
)

// TopicPartition is a partition of one incarnation of a topic.
type TopicPartition struct {
	Topic     string
	ID        api.TopicID
	Partition api.Partition
}

// AssignedPartition is a partition and the offset at which the consumer begins.
type AssignedPartition struct {
	TopicPartition
	Offset api.Offset
	// Committed: the group had committed the offset; otherwise the policy chose it.
	Committed bool
}

// ConsumerEvents are told how partitions come and go. Each is called in a Flush; nil
// ignores it.
type ConsumerEvents struct {
	// Assigned: the partitions are the member's, from these offsets on.
	Assigned func([]AssignedPartition)
	// Revoked: the member is about to give the partitions up. All that was handed out
	// of them is processed, and with AutoCommit committed. They are still the member's,
	// so that it may commit, until release is called.
	Revoked func(partitions []TopicPartition, release func())
	// Lost: the partitions are the member's no more, and perhaps another's already.
	// What was processed since the last commit will be handed out again, to somebody.
	Lost func([]TopicPartition)
	// Committing hears of every commit just before it is sent, whoever asked for it, and
	// gives what is to hear of its result. It is for those who only look on.
	Committing func([]CommitPosition) (ended func(Result))
}

// ConsumedRecord is a record that a poll hands out.
type ConsumedRecord struct {
	TopicPartition
	Record
}

// PartitionRecords are the records of one partition, of those that a poll has handed out.
type PartitionRecords struct {
	TopicPartition
	Records []Record
}

// ByPartition sorts what a poll has handed out by partition, in the order in which they
// came.
func ByPartition(records []ConsumedRecord) []PartitionRecords {
	var list []PartitionRecords
	for _, r := range records {
		i := slices.IndexFunc(list, func(p PartitionRecords) bool { return same(p.TopicPartition, r.TopicPartition) })
		if i < 0 {
			i, list = len(list), append(list, PartitionRecords{TopicPartition: r.TopicPartition})
		}
		list[i].Records = append(list[i].Records, r.Record)
	}
	return list
}

// Consumer is one member of a consumer group: a state machine over its client, which is
// driven as the client is.
//
// What it may read, its coordinator says (see broker/group). It owns partitions by a
// lease that it judges itself: until its session (or the time to give partitions up, if
// that is shorter) after it sent the last beat that was answered. The coordinator, which counts from when that beat came, gives the partitions
// to nobody else before; so nothing is handed out by two members at a time, however the
// clocks are set, as long as they run equally fast. The same holds for the time to give a
// partition up, which counts from the last beat that did not ask for it.
//
// A poll says that all that was handed out before is processed. Only what is processed is
// committed, and partitions are given up only while nothing of them is being processed:
// when a poll begins, or is waiting.
type Consumer struct {
	client  *Client
	options ConsumerOptions
	events  ConsumerEvents

	// member is 0 while the consumer is none; token names the attempt to become one.
	member membership
	// topics subscribed to, sorted; matched is false until Pattern was matched.
	topics    []string
	matched   bool
	matching  bool
	matchAt   env.Time
	matchTry  int
	shares    []*share // sorted by topic id and partition
	buffered  int      // bytes, of all shares
	locating  bool
	locateAt  env.Time
	locateTry int
	// turn is the place in shares at which the next poll begins.
	turn int

	poll *poll
	// pollBy is when the next poll has to begin, if none is under way.
	pollBy env.Time
	// problem waits for a poll to be told; fatal is told to each, and nothing is tried any
	// more.
	problem, fatal *api.Error

	commits   commits
	revoking  *revocation
	closing   *closing
	timer     timer
	isStopped bool
}

// poll is a Poll without an answer.
type poll struct {
	max  int
	at   env.Time // of its end
	done func([]ConsumedRecord, *api.Error)
}

// Subscribe makes a consumer, which begins to join its group at once.
func (c *Client) Subscribe(options ConsumerOptions, events ConsumerEvents) (*Consumer, *api.Error) {
	options = options.withDefaults()
	texts := append([]string{options.Instance}, options.Topics...)
	if err := checkGroup(options.Group, texts...); err != nil {
		return nil, err
	}
	if len(options.Topics) == 0 && options.Pattern == nil {
		return nil, api.Errorf(api.Code_INVALID_REQUEST, "group %q subscribes to nothing; give topics or a pattern", options.Group)
	}
	k := &Consumer{client: c, options: options, events: events, topics: sortedSet(options.Topics), matched: options.Pattern == nil}
	k.commits.at = c.clock.Now() + options.AutoCommit
	k.pollBy = c.clock.Now() + options.PollInterval
	k.timer.fire = k.pump
	k.pump()
	return k, nil
}

// Poll hands out up to max records (500 if it is not above 0) of the partitions owned,
// once there are any; none when wait is over. It says that all that was handed out before
// is processed. One poll is under way at a time. An error leaves the consumer as it is,
// and what can mend itself is tried on.
func (k *Consumer) Poll(max int, wait env.Time, done func([]ConsumedRecord, *api.Error)) {
	if max <= 0 {
		max = defaultPoll
	}
	switch {
	case k.isStopped || k.closing != nil:
		k.later(func() { done(nil, closedConsumer(k.options.Group)) })
		return
	case k.fatal != nil:
		k.later(func() { done(nil, k.fatal) })
		return
	case k.poll != nil:
		k.later(func() {
			done(nil, api.Errorf(api.Code_INVALID_REQUEST, "group %q is polled while a poll is under way; poll again when it has ended", k.options.Group))
		})
		return
	}
	k.processed()
	k.poll = &poll{max: max, at: k.client.clock.Now() + maxTime(wait), done: done}
	k.pump()
}

// StopPoll ends the poll that waits, without records. One that has just been answered
// stays so.
func (k *Consumer) StopPoll() {
	if k.poll != nil {
		k.endPoll(nil, nil)
		k.pump()
	}
}

// Member is the id by which the coordinator knows the consumer, 0 while it is no member.
func (k *Consumer) Member() uint64 { return k.member.id }

// Positions lists the partitions owned, each with the offset of the next record to hand
// out. Those whose position is not known yet are missing.
func (k *Consumer) Positions() []AssignedPartition {
	var list []AssignedPartition
	for _, s := range k.shares {
		if s.told {
			list = append(list, AssignedPartition{s.key, s.handed, s.handed == s.committed})
		}
	}
	return list
}

func closedConsumer(group string) *api.Error {
	return api.Errorf(api.Code_SHUTTING_DOWN, "the consumer of group %q is closed", group)
}

// later calls then in the Flush, as results are.
func (k *Consumer) later(then func()) {
	k.client.finished = append(k.client.finished, completion{func(Result) { then() }, Result{}})
}

// complain has a poll told of an error: the one that waits, or the next.
func (k *Consumer) complain(err *api.Error) { k.problem = err }

// complainOf complains of an error that is not of the cluster's doing, nor of a topic's or a
// membership's end.
func (k *Consumer) complainOf(err *api.Error) {
	switch err.Code {
	case api.Code_UNKNOWN_TOPIC_OR_PARTITION, api.Code_MEMBER_FENCED, api.Code_UNKNOWN_MEMBER, api.Code_FENCED_INSTANCE, api.Code_STALE_COMMIT:
	default:
		if !err.Code.Retriable() {
			k.complain(err)
		}
	}
}

// endPoll answers the poll that waits.
func (k *Consumer) endPoll(records []ConsumedRecord, err *api.Error) {
	done := k.poll.done
	k.poll, k.pollBy = nil, k.client.clock.Now()+k.options.PollInterval
	k.later(func() { done(records, err) })
}

// pump does all that can be done now, and sets the timer to when there is more. Every
// call from outside, answer and timer ends here; nothing that it does calls it back.
func (k *Consumer) pump() {
	if k.isStopped {
		return
	}
	now := k.client.clock.Now()
	k.checkLease(now)
	k.checkPolls(now)
	k.pumpMembership(now)
	k.pumpRevocation(now)
	k.locate(now)
	for _, s := range k.shares {
		s.pump(now)
	}
	k.pumpCommits(now)
	k.handOut(now)
	k.pumpClose()
	k.arm(now)
}

// arm sets the timer to the next moment at which there may be something to do.
func (k *Consumer) arm(now env.Time) {
	if k.isStopped {
		k.client.timers.stop(&k.timer)
		return
	}
	at := never
	note := func(wanted bool, t env.Time) {
		if wanted && t > now {
			at = min(at, t)
		}
	}
	m := &k.member
	note(m.id != 0, m.lease)
	note(k.poll == nil && m.id != 0, k.pollBy)
	note(!m.asking && k.fatal == nil, m.at)
	note(k.options.Pattern != nil && !k.matching, k.matchAt)
	note(!k.locating, k.locateAt)
	note(k.poll != nil, k.pollEnd())
	note(!k.commits.busy, k.commits.at)
	note(k.revoking != nil, k.revoking.retryAt())
	for _, g := range m.given {
		note(true, g.by)
	}
	for _, s := range k.shares {
		note(s.giving, s.giveBy)
		note(!s.busy, s.retryAt)
	}
	if at == never {
		k.client.timers.stop(&k.timer)
		return
	}
	k.client.timers.set(&k.timer, at)
}

func (k *Consumer) pollEnd() env.Time {
	if k.poll == nil {
		return never
	}
	return k.poll.at
}

// handOut answers the poll that waits, if there is something to answer it with.
func (k *Consumer) handOut(now env.Time) {
	switch {
	case k.poll == nil:
	case k.fatal != nil:
		k.endPoll(nil, k.fatal)
	case k.problem != nil:
		err := k.problem
		k.problem = nil
		k.endPoll(nil, err)
	default:
		if records := k.take(k.poll.max); len(records) > 0 {
			k.endPoll(records, nil)
			// There is room to fetch into.
			for _, s := range k.shares {
				s.pump(now)
			}
		} else if now >= k.poll.at {
			k.endPoll(nil, nil)
		}
	}
}

// take takes up to max records for a poll, from all that have some alike, beginning with
// another partition each time.
func (k *Consumer) take(max int) []ConsumedRecord {
	ready := 0
	for _, s := range k.shares {
		if s.hasRecords() {
			ready++
		}
	}
	if ready == 0 || k.member.id == 0 {
		return nil
	}
	var records []ConsumedRecord
	quota := 1 + (max-1)/ready
	begin := k.turn
	for len(records) < max && ready > 0 {
		ready = 0
		for i := range k.shares {
			at := (begin + i) % len(k.shares)
			s := k.shares[at]
			if !s.hasRecords() || len(records) >= max {
				continue
			}
			records = s.take(records, min(quota, max-len(records)))
			k.turn = at + 1
			if s.hasRecords() {
				ready++
			}
		}
	}
	return records
}
