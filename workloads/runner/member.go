package runner

import (
	"maps"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/histories"
)

// MemberConfig is how one member of a consumer group works.
type MemberConfig struct {
	Log Log
	// Options of the consumer, which may have it commit by itself.
	Options core.ConsumerOptions
	// Max records are polled at a time, and Work is how long they take; StallEvery so many
	// polls that is Stall, 0 is never. From Until on they take no time.
	Max        int
	Work       env.Time
	StallEvery int
	Stall      env.Time
	Until      histories.Time
	// CommitEvery so many polls the member commits, where the consumer does not.
	CommitEvery int
}

// Member is a member of a consumer group: it polls, works, and commits, until it is
// stopped. It is the same Member when its client crashes and comes back on another core.
type Member struct {
	config   MemberConfig
	consumer *core.Consumer
	client   *core.Client
	// life counts the cores: what an earlier one calls back is dropped.
	life  int
	polls int
	// record is of this life, and spells are what it reads now.
	record *histories.Member
	spells map[core.TopicPartition]*spell
	// open are the commits under way.
	open    map[histories.Process]bool
	stopped bool
	done    func()
}

// spell is a time in which the member reads a partition.
type spell struct {
	of     core.TopicPartition
	record *histories.Spell
	// next is one past what was handed out, done one past what was worked on, committed
	// what is known to be committed.
	next, done, committed api.Offset
}

// NewMember makes a member. It is idle until Start.
func NewMember(config MemberConfig) *Member {
	return &Member{config: config, open: map[histories.Process]bool{}}
}

// Start joins the group on a core. The driver flushes the core afterwards.
func (m *Member) Start(client *core.Client) {
	m.client, m.spells = client, map[core.TopicPartition]*spell{}
	m.record = histories.NewMember(m.config.Log.Recorder, m.config.Options.Group)
	life := m.life
	alive := func() bool { return m.life == life }
	consumer, err := client.Subscribe(m.config.Options, core.ConsumerEvents{
		Assigned: func(list []core.AssignedPartition) {
			if alive() {
				m.assigned(list)
			}
		},
		Revoked: func(list []core.TopicPartition, release func()) {
			if alive() {
				m.revoked(list, release)
			}
		},
		Lost: func(list []core.TopicPartition) {
			if alive() {
				m.end(histories.Lost, m.reads(list))
			}
		},
		Committing: func(list []core.CommitPosition) func(core.Result) {
			if !alive() {
				return func(core.Result) {}
			}
			return m.committing(list)
		},
	})
	if err != nil {
		panic("runner: " + err.Error())
	}
	m.consumer = consumer
	if m.done != nil {
		m.close()
		return
	}
	m.poll()
}

// IsStatic reports whether the member is that of an id, and a static one.
func (m *Member) IsStatic(id uint64) bool {
	return m.config.Options.Instance != "" && m.consumer != nil && m.consumer.Member() == id
}

// Crash ends what is under way, its outcome unknown: the core is gone.
func (m *Member) Crash() {
	m.life++
	for _, p := range slices.Sorted(maps.Keys(m.open)) {
		m.config.Log.Recorder.Info(m.config.Log.Now(), p, api.Code_DISCONNECTED)
	}
	clear(m.open)
}

// Stop has the member leave its group in order, and calls done then.
func (m *Member) Stop(done func()) {
	if m.done == nil {
		m.done = done
		m.close()
	}
}

func (m *Member) close() {
	m.worked()
	life := m.life
	m.consumer.Close(func(*api.Error) {
		if m.life == life && !m.stopped {
			m.stopped = true
			m.done()
		}
	})
}

// partitions are those that the member reads.
func (m *Member) partitions() []core.TopicPartition {
	return slices.SortedFunc(maps.Keys(m.spells), core.CompareTopicPartitions)
}

// worked notes that all that was handed out is worked on.
func (m *Member) worked() {
	m.record.Processed(m.config.Log.Now())
	for _, p := range m.partitions() {
		m.spells[p].done = m.spells[p].next
	}
}

func (m *Member) assigned(list []core.AssignedPartition) {
	m.record.ID = m.consumer.Member()
	for _, p := range list {
		m.record.Assigned(m.config.Log.Now(), p.Topic, p.Partition, p.Offset, p.Committed)
		m.spells[p.TopicPartition] = &spell{
			of: p.TopicPartition, record: m.record.Reads(p.Topic, p.Partition),
			next: p.Offset, done: p.Offset, committed: p.Offset,
		}
	}
}

func (m *Member) revoked(list []core.TopicPartition, release func()) {
	read := m.reads(list)
	m.commit(list, func(err *api.Error) {
		op := histories.Revoked
		if err != nil && !err.Code.Retriable() {
			op = histories.Lost // as the commit was told
		}
		m.end(op, read)
		release()
	})
}

// reads gives the spells of the partitions that are read now.
func (m *Member) reads(list []core.TopicPartition) (now []*spell) {
	for _, p := range list {
		if s := m.spells[p]; s != nil {
			now = append(now, s)
		}
	}
	return now
}

// end ends spells, unless they have.
func (m *Member) end(op histories.Op, list []*spell) {
	for _, s := range list {
		if m.spells[s.of] == s {
			delete(m.spells, s.of)
		}
		m.record.Ended(m.config.Log.Now(), op, s.record)
	}
}

// poll says that all so far is worked on, and asks for more.
func (m *Member) poll() {
	m.worked()
	life := m.life
	m.consumer.Poll(m.config.Max, 500*env.Millisecond, func(records []core.ConsumedRecord, err *api.Error) {
		if m.life != life || m.done != nil {
			return
		}
		m.hand(records)
		m.client.After(m.pause(err), func() {
			if m.life == life && m.done == nil {
				m.poll()
			}
		})
	})
	m.polls++
	if m.config.Options.AutoCommit == 0 && m.polls%m.config.CommitEvery == 0 {
		m.commit(m.partitions(), func(*api.Error) {})
	}
}

// pause is how long the member works on what it was handed.
func (m *Member) pause(err *api.Error) env.Time {
	c, pause := &m.config, env.Time(0)
	if err != nil {
		pause = failurePause
	}
	switch {
	case c.Log.Now() >= c.Until:
		return pause
	case c.StallEvery > 0 && m.polls%c.StallEvery == 0:
		return max(pause, c.Stall)
	}
	return max(pause, c.Work)
}

// hand records what a poll handed out, by partition.
func (m *Member) hand(records []core.ConsumedRecord) {
	m.record.ID = m.consumer.Member()
	for _, p := range core.ByPartition(records) {
		handed := fetched(core.Result{Records: p.Records}).Records
		m.record.Handed(m.config.Log.Now(), p.Topic, p.Partition, handed)
		if s := m.spells[p.TopicPartition]; s != nil {
			s.next, _ = after(handed)
		}
	}
}

// committed notes a commit that was taken.
func (m *Member) committed(list []core.CommitPosition) {
	for _, p := range list {
		if s := m.spells[p.TopicPartition]; s != nil {
			s.committed = max(s.committed, p.Offset)
		}
	}
}

// commit commits what is worked on of some partitions, unless the consumer does, and calls
// then however it ends.
func (m *Member) commit(partitions []core.TopicPartition, then func(*api.Error)) {
	var list []core.CommitPosition
	for _, p := range partitions {
		if s := m.spells[p]; s != nil && s.done > s.committed {
			list = append(list, core.CommitPosition{TopicPartition: p, Offset: s.done})
		}
	}
	if len(list) == 0 || m.config.Options.AutoCommit > 0 {
		then(nil)
		return
	}
	life := m.life
	m.consumer.CommitOffsets(list, func(err *api.Error) {
		if m.life != life {
			return
		}
		if err == nil {
			m.committed(list)
		}
		then(err)
	})
}

// committing records a commit, the member's or the consumer's own, and gives what records
// how it ended.
func (m *Member) committing(list []core.CommitPosition) func(core.Result) {
	call := histories.Call{Op: histories.Commit, Group: m.config.Options.Group, Member: m.consumer.Member()}
	for _, p := range list {
		call.Offsets = append(call.Offsets, histories.GroupOffset{Topic: p.Topic, Partition: p.Partition, Offset: p.Offset})
	}
	log, life := m.config.Log, m.life
	process := log.Recorder.NewProcess()
	log.Recorder.Invoke(log.Now(), process, call)
	m.open[process] = true
	return func(r core.Result) {
		if m.life != life {
			return
		}
		delete(m.open, process)
		switch {
		case r.Err == nil:
			log.Recorder.Ok(log.Now(), process, histories.Answer{})
		case r.Definite:
			log.Recorder.Fail(log.Now(), process, r.Err.Code)
		default:
			log.Recorder.Info(log.Now(), process, r.Err.Code)
		}
	}
}
