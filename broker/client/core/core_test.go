package core_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/broker/client/core/coretest"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/sim/prng"
)

// sent is one call of Produce and what became of it.
type sent struct {
	topic     string
	partition api.Partition
	mode      core.Mode
	values    []uint64
	called    env.Time
	timeout   env.Time
	ended     env.Time
	results   int
	result    core.Result
}

// story is a client in a world whose fate a seed decides, and all it produced.
type story struct {
	world  *coretest.World
	client *core.Client
	random *prng.Stream
	sent   []*sent
	// reads and others count the results of what is not produce.
	asked, answered int
	value           uint64
	digest          uint64
	// lost is what was refused in peace.
	lost []string
	// narrow: all goes to one partition.
	narrow bool
}

const (
	nodes      = 5
	topics     = 2
	partitions = 2
	chaos      = 60 * env.Second
)

func newStory(seed uint64) *story {
	s := &story{world: coretest.NewWorld(seed, nodes), random: prng.New(seed).Split("story")}
	for i := range topics {
		s.world.CreateTopic(fmt.Sprint("t", i), partitions)
	}
	s.narrow = s.random.Chance(1, 2)
	host := s.world.NewHost("client")
	s.client = core.New(core.Config{
		Bootstrap:  s.world.Endpoints()[2+s.random.Below(nodes-2):],
		Codec:      codec(s.random),
		Codecs:     batch.NewCodecs(batch.NewGzip()),
		Linger:     env.Time(s.random.Below(3)) * 5 * env.Millisecond,
		BatchBytes: int(s.random.Between(100, 2000)),
	}, host, host, prng.New(seed).Split("client"))
	host.Attach(s.client)
	return s
}

func codec(r *prng.Stream) batch.Codec {
	if r.Chance(1, 2) {
		return batch.NewGzip()
	}
	return batch.Plain{}
}

func (s *story) produce() {
	p := &sent{
		topic: fmt.Sprint("t", s.random.Below(topics)), partition: api.Partition(s.random.Below(partitions)),
		called: s.world.Now(), timeout: env.Time(s.random.Between(1, 20)) * env.Second,
	}
	if s.narrow {
		p.topic, p.partition = "t0", 0
	}
	if s.random.Chance(1, 4) {
		p.mode = core.Mode(1 + s.random.Below(2))
	}
	var records []batch.Record
	for range s.random.Between(1, 4) {
		s.value++
		p.values = append(p.values, s.value)
		records = append(records, batch.Record{Value: binary.LittleEndian.AppendUint64(nil, s.value)})
	}
	s.sent = append(s.sent, p)
	s.client.Produce(p.topic, p.partition, records, core.ProduceOptions{Mode: p.mode, Timeout: p.timeout}, func(r core.Result) {
		p.results++
		p.ended, p.result = s.world.Now(), r
		s.digest = prng.Hash(s.digest, uint64(p.ended), p.values[0], uint64(r.Offset), uint64(r.Err.GetCode()), uint64(r.Attempts))
	})
}

// other asks for something that changes nothing here; it must be answered.
func (s *story) other() {
	s.asked++
	done := func(core.Result) { s.answered++ }
	topic, p := fmt.Sprint("t", s.random.Below(topics+1)), api.Partition(s.random.Below(partitions+1))
	switch s.random.Below(4) {
	case 0:
		s.client.Fetch(topic, p, 0, core.FetchOptions{MaxBytes: 1000}, done)
	case 1:
		s.client.ListOffsets(topic, p, api.OffsetSpec_LATEST, 0, done)
	case 2:
		s.client.InitProducer(0, 0, 0, done)
	case 3:
		s.client.Metadata(&api.MetadataRequest{}, 0, done)
	}
}

// elsewhere uses a topic that is new to the client.
func (s *story) elsewhere() {
	s.asked++
	topic := fmt.Sprint("at ", s.world.Now())
	s.world.CreateTopic(topic, 1)
	s.client.ListOffsets(topic, 0, api.OffsetSpec_LATEST, 0, func(core.Result) { s.answered++ })
}

// fate is one act of the world against the client.
func (s *story) fate() {
	w, r := s.world, s.random
	topic := w.Topic(fmt.Sprint("t", r.Below(topics)))
	switch r.Below(6) {
	case 0:
		p := topic.Partitions[r.Below(partitions)]
		p.Lead(pick(r, append([]api.NodeID{0}, p.Replicas...)))
	case 1:
		w.LeadMeta(pick(r, w.Members()))
	case 2, 3:
		w.SetUp(pick(r, w.Members()), r.Chance(1, 2))
	case 4:
		if r.Chance(1, 4) {
			w.DeleteTopic(topic.Name)
			w.CreateTopic(topic.Name, partitions)
		}
	case 5:
		for range r.Between(1, 4) {
			s.replace()
		}
	}
}

func pick(r *prng.Stream, nodes []api.NodeID) api.NodeID { return nodes[r.Below(int64(len(nodes)))] }

// replace puts a new node in the place of a member, but never of the last that the client
// was given: it can find a cluster only by nodes that it has heard of.
func (s *story) replace() {
	if id := pick(s.random, s.world.Members()); id != nodes && len(s.world.Endpoints()) < 10*nodes {
		s.world.Replace(id, s.random.Chance(1, 2))
	}
}

func (s *story) heal() {
	s.world.Faults = coretest.Faults{Delay: env.Millisecond}
	for _, id := range s.world.Members() {
		s.world.SetUp(id, true)
	}
	for i := range topics {
		for _, p := range s.world.Topic(fmt.Sprint("t", i)).Partitions {
			if p.Leader == 0 {
				p.Lead(p.Replicas[0])
			}
		}
	}
}

// run tells the whole story: chaos, then peace until everything has ended.
func (s *story) run() {
	r := s.random
	level := []int64{0, 5, 30, 120}[r.Below(4)]
	f := &s.world.Faults
	for _, chance := range []*int64{&f.LoseRequest, &f.LoseAnswer, &f.LateAnswer, &f.Twice, &f.Break, &f.Refuse, &f.Doubt, &f.NoHint, &f.Behind} {
		if r.Chance(1, 2) {
			*chance = r.Below(level + 1)
		}
	}
	pace := r.Between(20, 200)
	change := []int64{0, 3, 15, 60, 200}[r.Below(5)]
	// Until then the topics are left alone.
	var quiet env.Time
	for s.world.Now() < chaos {
		s.world.Run(s.world.Now() + env.Time(r.Between(1, 2*pace))*env.Millisecond)
		switch {
		case quiet > s.world.Now():
			if r.Chance(1, 10) {
				s.elsewhere()
			}
		case r.Chance(1, 200):
			quiet = s.world.Now() + env.Time(r.Between(1, 20))*env.Second
		default:
			for range r.Between(0, 5) {
				s.produce()
			}
			if r.Chance(1, 5) {
				s.other()
			}
		}
		if r.Chance(change, 1000) {
			s.fate()
		}
		s.client.Flush()
	}
	s.heal()
	s.world.Run(chaos + 60*env.Second)
	s.goOn()
}

// goOn uses every partition once the world is at peace: whatever nodes the client believes
// in, it finds the way. It reads first, for what is sent to a topic that is no more may end
// in doubt.
func (s *story) goOn() {
	done := func(r core.Result) {
		if s.answered++; r.Err != nil {
			s.lost = append(s.lost, r.Err.Error())
		}
	}
	for _, use := range []func(string, api.Partition){
		func(topic string, p api.Partition) { s.client.ListOffsets(topic, p, api.OffsetSpec_LATEST, 0, done) },
		func(topic string, p api.Partition) {
			s.client.Produce(topic, p, []batch.Record{{Value: make([]byte, 8)}}, core.ProduceOptions{Timeout: 20 * env.Second}, done)
		},
	} {
		for i := range topics {
			for p := range api.Partition(partitions) {
				s.asked++
				use(fmt.Sprint("t", i), p)
			}
		}
		s.client.Flush()
		s.world.Run(s.world.Now() + 30*env.Second)
	}
	s.goOnBlindly()
}

// goOnBlindly sends what is not acknowledged: of that, too, the last must arrive.
func (s *story) goOnBlindly() {
	p := s.world.Topic("t0").Partitions[0]
	var last []byte
	for n := range uint64(20) {
		last = binary.BigEndian.AppendUint64(nil, n)
		s.asked++
		s.client.Produce("t0", 0, []batch.Record{{Value: last}}, core.ProduceOptions{Mode: core.Unacknowledged}, func(core.Result) { s.answered++ })
		s.client.Flush()
		s.world.Run(s.world.Now() + env.Second)
	}
	if got := p.Log[len(p.Log)-1].Value; !bytes.Equal(got, last) {
		s.lost = append(s.lost, fmt.Sprintf("the last of t0 is %x, not %x", got, last))
	}
}

func TestStories(t *testing.T) {
	count := uint64(60)
	if testing.Short() {
		count = 20
	}
	var total tally
	for seed := range count {
		s := newStory(seed)
		s.run()
		s.judge(t, &total)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%+v", total)
	if total.ok < 1000 || total.failed < 100 || total.unknown < 100 || total.retried < 100 {
		t.Errorf("the stories prove little: %+v", total)
	}
}

// judged is a test of testing or of rapid.
type judged interface {
	Errorf(format string, args ...any)
}

type tally struct{ ok, failed, unknown, retried int }

// judge holds results against the logs of every incarnation.
func (s *story) judge(t judged, total *tally) {
	if s.asked != s.answered || s.client.Pending() != 0 {
		t.Errorf("%d asked, %d answered, %d pending", s.asked, s.answered, s.client.Pending())
	}
	for _, err := range s.lost {
		t.Errorf("in peace: %s", err)
	}
	found := s.places()
	type lane struct {
		topic     api.TopicID
		partition api.Partition
		mode      core.Mode
	}
	last := map[lane]api.Offset{}
	for _, p := range s.sent {
		r := p.result
		if p.results != 1 {
			t.Errorf("produce of %v has %d results", p.values, p.results)
		}
		if late := p.ended - p.called - p.timeout; late > 20*env.Millisecond {
			t.Errorf("produce of %v ended %d ms after its deadline", p.values, late/env.Millisecond)
		}
		if r.Err != nil && r.Definite != r.Err.Code.Definite() {
			t.Errorf("produce of %v: %v, definite %v", p.values, r.Err, r.Definite)
		}
		if r.Attempts > 1 {
			total.retried++
		}
		switch r.Err.GetCode() {
		case api.Code_OUT_OF_ORDER_SEQUENCE, api.Code_UNKNOWN_PRODUCER, api.Code_DUPLICATE_SEQUENCE, api.Code_PRODUCER_FENCED:
			t.Errorf("produce of %v: %v", p.values, r.Err)
		}
		switch {
		case r.Definite && r.Err == nil:
			total.ok++
			key := lane{r.Topic, p.partition, p.mode}
			if before, ok := last[key]; ok && r.Offset <= before {
				t.Errorf("produce of %v at %d, after an earlier one at %d", p.values, r.Offset, before)
			}
			last[key] = r.Offset
			for i, v := range p.values {
				if at := found[v]; len(at) != 1 || at[0] != (place{r.Topic, p.partition, r.Offset + api.Offset(i)}) {
					t.Errorf("value %d acknowledged at %v/%d offset %d stands at %v", v, r.Topic, p.partition, r.Offset+api.Offset(i), at)
				}
			}
		case r.Definite:
			total.failed++
			for _, v := range p.values {
				if len(found[v]) > 0 {
					t.Errorf("value %d failed (%v) and stands at %v", v, r.Err, found[v])
				}
			}
		default:
			total.unknown++
			for _, v := range p.values {
				if len(found[v]) != len(found[p.values[0]]) || len(found[v]) > 1 {
					t.Errorf("value %d of %v in doubt stands at %v", v, p.values, found[v])
				}
			}
		}
	}
}

type place struct {
	topic     api.TopicID
	partition api.Partition
	offset    api.Offset
}

func (s *story) places() map[uint64][]place {
	found := map[uint64][]place{}
	all := s.world.Deleted
	for i := range topics {
		all = append(all, s.world.Topic(fmt.Sprint("t", i)))
	}
	for _, topic := range all {
		for i, p := range topic.Partitions {
			for offset, record := range p.Log {
				v := binary.LittleEndian.Uint64(record.Value)
				found[v] = append(found[v], place{topic.ID, api.Partition(i), api.Offset(offset)})
			}
		}
	}
	return found
}

// The same seed tells the same story.
func TestDeterminism(t *testing.T) {
	seen := map[uint64]bool{}
	for seed := range uint64(4) {
		a, b := newStory(seed), newStory(seed)
		a.run()
		b.run()
		if a.digest != b.digest {
			t.Errorf("seed %d: two runs differ", seed)
		}
		seen[a.digest] = true
	}
	if len(seen) != 4 {
		t.Errorf("4 seeds told %d stories", len(seen))
	}
}
