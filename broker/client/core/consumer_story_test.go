package core_test

import (
	"fmt"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/broker/client/core/coretest"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/sim/prng"
)

// groupStory is some members of a group in a world whose fate a seed decides. It watches
// from outside that no two process the same partition, that nothing is committed before
// it is processed, and that everything is consumed.
type groupStory struct {
	testing.TB
	world    *coretest.World
	random   *prng.Stream
	producer *core.Client
	members  []*participant
	// processing says who holds records of a partition that are not processed.
	processing map[coretest.Key]*participant
	consumed   map[string]int
	produced   int
	lost       int
	digest     uint64
}

// participant is a process with a consumer. It works on what a poll gave it for a while.
type participant struct {
	story   *groupStory
	name    string
	client  *core.Client
	current *core.Consumer
	// handed and processed are offsets of what it owns: one past the last.
	handed, processed map[coretest.Key]api.Offset
	closed            bool
	polling           bool
}

func keyOf(p core.TopicPartition) coretest.Key {
	return coretest.Key{Topic: p.ID, Partition: p.Partition}
}

func newGroupStory(t testing.TB, seed uint64) *groupStory {
	s := &groupStory{
		TB: t, world: coretest.NewWorld(seed, 4), random: prng.New(seed).Split("groups"),
		processing: map[coretest.Key]*participant{}, consumed: map[string]int{},
	}
	s.world.CreateTopic("t0", 3)
	s.world.CreateTopic("t1", 2)
	s.world.CreateTopic(api.GroupsTopic, 3)
	s.world.Script = func(_ api.NodeID, q *api.Request) (*api.Response, bool) {
		s.watch(q.GetCommitOffsets())
		return nil, false
	}
	s.producer = s.client("producer")
	for i := range 3 {
		s.members = append(s.members, &participant{story: s, name: fmt.Sprint("member", i), client: s.client(fmt.Sprint("member", i)), closed: true})
	}
	return s
}

func (s *groupStory) client(name string) *core.Client {
	host := s.world.NewHost(env.Endpoint(name))
	c := core.New(core.Config{Bootstrap: s.world.Endpoints()}, host, host, s.random.Split(name))
	host.Attach(c)
	return c
}

// watch sees every commit that arrives at a node.
func (s *groupStory) watch(q *api.CommitOffsetsRequest) {
	for _, o := range q.GetOffsets() {
		key := coretest.Key{Topic: api.TopicID(o.Partition.TopicId), Partition: api.Partition(o.Partition.Partition)}
		for _, m := range s.members {
			if m.current != nil && m.current.Member() == q.Member && m.processed[key] < api.Offset(o.Offset) {
				s.Errorf("%s commits %d of %v, and has processed %d", m.name, o.Offset, key, m.processed[key])
			}
		}
	}
}

func (m *participant) start() {
	r := m.story.random
	options := core.ConsumerOptions{
		Group: "g", Topics: []string{"t0", "t1"}, Session: env.Time(r.Between(3, 10)) * env.Second,
		Rebalance: env.Time(r.Between(4, 12)) * env.Second, AutoCommit: env.Time(r.Below(3)) * env.Second,
		BufferedBytes: int(r.Between(1000, 100_000)), FetchBytes: int32(r.Between(100, 10_000)),
	}
	m.handed, m.processed = map[coretest.Key]api.Offset{}, map[coretest.Key]api.Offset{}
	k, err := m.client.Subscribe(options, core.ConsumerEvents{
		Assigned: func(list []core.AssignedPartition) {
			for _, p := range list {
				key := keyOf(p.TopicPartition)
				// A commit of the last time may still arrive: it was processed then.
				m.handed[key], m.processed[key] = p.Offset, max(p.Offset, m.processed[key])
			}
		},
		Revoked: func(list []core.TopicPartition, release func()) {
			for _, p := range list {
				if m.story.processing[keyOf(p)] == m {
					m.story.Errorf("%s gives %v up while it processes records of it", m.name, p)
				}
			}
			if options.AutoCommit == 0 && !m.closed {
				m.current.Commit(func(*api.Error) { release() })
				return
			}
			release()
		},
		Lost: func(list []core.TopicPartition) {
			m.story.lost++
			for _, p := range list {
				m.free(keyOf(p))
			}
		},
	})
	if err != nil {
		m.story.Fatal(err)
	}
	m.current, m.closed = k, false
}

func (m *participant) free(key coretest.Key) {
	if m.story.processing[key] == m {
		delete(m.story.processing, key)
	}
}

// finish says that what was handed out is processed.
func (m *participant) finish() {
	for key, offset := range m.handed {
		m.processed[key] = max(offset, m.processed[key])
		m.free(key)
	}
}

func (m *participant) poll() {
	if m.closed || m.polling {
		return
	}
	m.finish()
	m.polling = true
	r := m.story.random
	m.current.Poll(int(r.Between(1, 20)), env.Time(r.Below(3000))*env.Millisecond, func(records []core.ConsumedRecord, err *api.Error) {
		m.polling = false
		for _, record := range records {
			m.take(record)
		}
		m.story.digest = prng.Hash(m.story.digest, uint64(m.story.world.Now()), uint64(len(records)), uint64(err.GetCode()))
	})
}

func (m *participant) take(r core.ConsumedRecord) {
	s, key := m.story, keyOf(r.TopicPartition)
	if other := s.processing[key]; other != nil && other != m {
		s.Errorf("%s is handed %v while %s processes records of it", m.name, key, other.name)
	}
	if owner := s.world.Group("g").Owners[key]; owner.Member != m.current.Member() {
		s.Errorf("%s, member %d, is handed %v of member %d", m.name, m.current.Member(), key, owner.Member)
	}
	if r.Offset != m.handed[key] {
		s.Errorf("%s is handed offset %d of %v, want %d", m.name, r.Offset, key, m.handed[key])
	}
	s.processing[key] = m
	m.handed[key] = r.Offset + 1
	s.consumed[string(r.Value)]++
}

func (m *participant) close() {
	if !m.closed {
		m.finish()
		m.closed = true
		m.current.Close(func(*api.Error) {})
	}
}

func (s *groupStory) produce() {
	s.produced++
	topic, p := "t0", api.Partition(s.random.Below(3))
	if s.random.Chance(1, 3) {
		topic, p = "t1", p%2
	}
	s.producer.Produce(topic, p, []batch.Record{{Value: fmt.Append(nil, s.produced)}}, core.ProduceOptions{Timeout: 200 * env.Second}, func(core.Result) {})
}

// step lets one thing happen.
func (s *groupStory) step() {
	m := s.members[s.random.Below(int64(len(s.members)))]
	switch n := s.random.Below(40); {
	case n < 14:
		s.produce()
	case n < 32:
		m.poll()
	case n < 35 && m.closed && (m.current == nil || m.client.Pending() == 0):
		m.start()
	case n == 35 && s.random.Chance(1, 4):
		m.close()
	case n == 36:
		p := s.world.Topic(api.GroupsTopic).Partitions
		p[s.random.Below(int64(len(p)))].Lead(pick(s.random, append(s.world.Members(), 0)))
	case n == 37 && s.random.Chance(1, 3):
		if id := pick(s.random, s.world.Members()); id != 1 {
			s.world.Replace(id, s.random.Chance(1, 2))
		}
	case n == 37:
		s.world.SetUp(pick(s.random, s.world.Members()), s.random.Chance(2, 3))
	case n == 38 && s.random.Chance(1, 6):
		p := s.world.Topic("t0").Partitions
		p[s.random.Below(int64(len(p)))].Lead(pick(s.random, s.world.Members()))
	case n == 39:
		s.world.Cut(pick(s.random, s.world.Members()))
	}
}

// run plays the story: a time of faults, then peace, in which all must be consumed.
func (s *groupStory) run() {
	f := &s.world.Faults
	f.Delay = env.Time(s.random.Between(1, 300)) * env.Millisecond
	f.LoseRequest, f.LoseAnswer, f.Break = s.random.Below(40), s.random.Below(40), s.random.Below(10)
	f.Refuse, f.Doubt, f.Twice, f.Behind = s.random.Below(40), s.random.Below(40), s.random.Below(40), s.random.Below(40)
	for s.world.Now() < 120*env.Second {
		s.step()
		s.flush()
		s.world.Run(s.world.Now() + env.Time(1+s.random.Below(400))*env.Millisecond)
	}
	*f = coretest.Faults{Delay: 2 * env.Millisecond}
	for _, id := range s.world.Members() {
		s.world.SetUp(id, true)
	}
	for _, p := range s.world.Topic(api.GroupsTopic).Partitions {
		p.Lead(1)
	}
	if m := s.members[0]; m.closed {
		s.world.Run(s.world.Now() + 30*env.Second)
		m.start()
	}
	for range 300 {
		for _, m := range s.members {
			m.poll()
		}
		s.flush()
		s.world.Run(s.world.Now() + 200*env.Millisecond)
	}
	for n := 1; n <= s.produced; n++ {
		if s.consumed[fmt.Sprint(n)] == 0 {
			s.Errorf("record %d was never consumed", n)
		}
	}
}

func (s *groupStory) flush() {
	s.producer.Flush()
	for _, m := range s.members {
		m.client.Flush()
	}
}

func TestGroupStories(t *testing.T) {
	produced, consumed, lost := 0, 0, 0
	for seed := range uint64(60) {
		s := newGroupStory(t, seed)
		s.run()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
		produced, lost = produced+s.produced, lost+s.lost
		for _, times := range s.consumed {
			consumed += times
		}
	}
	t.Logf("%d records produced, %d handed out, %d losses", produced, consumed, lost)
	if lost == 0 || consumed <= produced {
		t.Errorf("%d losses, %d records handed out of %d: nothing went wrong", lost, consumed, produced)
	}
}

func TestGroupStoryRepeats(t *testing.T) {
	tell := func() uint64 {
		s := newGroupStory(t, 7)
		s.run()
		return s.digest
	}
	if a, b := tell(), tell(); a != b {
		t.Errorf("the same seed told two stories: %x and %x", a, b)
	}
}
