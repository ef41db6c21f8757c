package histories_test

import (
	"bytes"
	"os"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/histories"
)

// Whatever a recorder takes is written, and read back the same.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h histories.History
		r := histories.NewRecorder(h.Append)
		now := histories.Time(0)
		idle := []histories.Process{r.NewProcess(), r.NewProcess()}
		busy := map[histories.Process]histories.Op{}
		t.Repeat(map[string]func(*rapid.T){
			"invoke": func(t *rapid.T) {
				if len(idle) == 0 {
					idle = append(idle, r.NewProcess())
				}
				call := drawCall(t)
				busy[idle[0]] = call.Op
				now += histories.Time(rapid.Int64Range(0, 1e9).Draw(t, "later"))
				r.Invoke(now, idle[0], call)
				idle = idle[1:]
			},
			"complete": func(t *rapid.T) {
				for p := range histories.Process(r.Len()) {
					op, ok := busy[p]
					if !ok {
						continue
					}
					delete(busy, p)
					if complete(t, r, now, p, op) {
						idle = append(idle, p)
					}
					return
				}
			},
			"note": func(t *rapid.T) { r.Note(now, drawNote(t)) },
		})
		var out bytes.Buffer
		if err := h.Write(&out); err != nil {
			t.Fatal(err)
		}
		got, err := histories.Read(&out)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Events) != len(h.Events) || len(h.Events) > 0 && !reflect.DeepEqual(*got, h) {
			t.Fatalf("written %+v\nread    %+v", h.Events, got.Events)
		}
	})
}

// complete ends an operation in some way; it says whether the process goes on.
func complete(t *rapid.T, r *histories.Recorder, now histories.Time, p histories.Process, op histories.Op) bool {
	code := api.Code(rapid.SampledFrom([]int32{1, 7, 8, 29}).Draw(t, "code"))
	switch rapid.IntRange(0, 3).Draw(t, "outcome") {
	case 0:
		r.Fail(now, p, code)
	case 1:
		r.Info(now, p, code)
		return false
	case 2:
		if op == histories.Fetch {
			r.FailedFetch(now, p, code, drawAnswer(t, op))
			break
		}
		fallthrough
	default:
		r.Ok(now, p, drawAnswer(t, op))
	}
	return true
}

var offsets = rapid.Map(rapid.Int64Min(0), func(v int64) api.Offset { return api.Offset(v) })

func drawCall(t *rapid.T) histories.Call {
	c := histories.Call{Op: histories.Op(rapid.IntRange(0, int(histories.FetchOffset)).Draw(t, "op"))}
	if c.Op != histories.InitProducer && c.Op != histories.Commit {
		c.Topic = rapid.String().Draw(t, "topic")
	}
	switch c.Op {
	case histories.Produce, histories.Fetch, histories.ListOffsets, histories.DeleteRecords, histories.FetchOffset:
		c.Partition = api.Partition(rapid.Int32Min(0).Draw(t, "partition"))
	}
	switch c.Op {
	case histories.Produce:
		c.Values = rapid.SliceOfN(rapid.Map(rapid.Int64(), func(v int64) histories.Value { return histories.Value(v) }), 1, 4).Draw(t, "values")
		if rapid.Bool().Draw(t, "timed") {
			c.Times = rapid.SliceOfN(rapid.Int64(), len(c.Values), len(c.Values)).Draw(t, "times")
		}
		c.Acks = api.Acks(rapid.IntRange(0, 1).Draw(t, "acks"))
		c.Producer = api.ProducerID(rapid.Int64Range(0, 2).Draw(t, "producer"))
		if c.Producer != 0 {
			c.Epoch, c.Sequence = api.Epoch(rapid.Int16Min(0).Draw(t, "epoch")), api.Sequence(rapid.Int32Min(0).Draw(t, "sequence"))
		}
	case histories.Fetch:
		c.Offset = api.Offset(rapid.Int64().Draw(t, "offset"))
		c.Continue, c.Final = rapid.Bool().Draw(t, "continue"), rapid.Bool().Draw(t, "final")
		c.Group, c.Member = rapid.String().Draw(t, "group"), rapid.Uint64().Draw(t, "member")
	case histories.ListOffsets:
		c.Spec, c.Final = api.OffsetSpec(rapid.IntRange(0, 2).Draw(t, "spec")), rapid.Bool().Draw(t, "final")
		if c.Spec == api.OffsetSpec_AT_TIME {
			c.Time = rapid.Int64().Draw(t, "at")
		}
	case histories.DeleteRecords:
		c.Offset = api.Offset(rapid.Int64Min(-1).Draw(t, "before"))
	case histories.CreateTopic:
		c.Partitions = rapid.Int32().Draw(t, "partitions")
	case histories.FetchOffset:
		c.Group = rapid.String().Draw(t, "group")
	case histories.Commit:
		c.Group, c.Member = rapid.String().Draw(t, "group"), rapid.Uint64().Draw(t, "member")
		c.Offsets = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) histories.GroupOffset {
			return histories.GroupOffset{
				Topic: rapid.String().Draw(t, "topic"), Partition: api.Partition(rapid.Int32Min(0).Draw(t, "partition")), Offset: offsets.Draw(t, "to"),
			}
		}), 1, 3).Draw(t, "offsets")
	}
	return c
}

func drawAnswer(t *rapid.T, op histories.Op) histories.Answer {
	var a histories.Answer
	switch op {
	case histories.Produce:
		a.Offset, a.LogStart = offsets.Draw(t, "offset"), offsets.Draw(t, "start")
	case histories.Fetch:
		a.Records = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) histories.Record {
			return histories.Record{Offset: offsets.Draw(t, "at"), Value: histories.Value(rapid.Int64().Draw(t, "value")), Corrupt: rapid.Bool().Draw(t, "corrupt")}
		}), 0, 4).Draw(t, "records")
		a.HighWatermark, a.LogStart = offsets.Draw(t, "hw"), histories.NoOffset
	case histories.ListOffsets:
		a.Offset, a.LogStart = offsets.Draw(t, "offset"), offsets.Draw(t, "start")
		a.Found, a.Time = rapid.Bool().Draw(t, "found"), rapid.Int64().Draw(t, "stamp")
	case histories.DeleteRecords:
		a.LogStart = offsets.Draw(t, "start")
	case histories.InitProducer:
		a.Producer, a.Epoch = 1, 3
	case histories.FetchOffset:
		a.Offset = api.Offset(rapid.Int64Min(-1).Draw(t, "committed"))
	}
	return a
}

func drawNote(t *rapid.T) histories.Note {
	if rapid.Bool().Draw(t, "fault") {
		return histories.Note{
			Op: histories.Fault, Name: rapid.String().Draw(t, "name"), Target: rapid.String().Draw(t, "target"),
			Phase: histories.Phase(rapid.IntRange(0, 2).Draw(t, "phase")),
		}
	}
	if rapid.Bool().Draw(t, "of a group") {
		n := histories.Note{
			Op:    histories.Op(rapid.IntRange(int(histories.Assigned), int(histories.Lost)).Draw(t, "op")),
			Group: rapid.String().Draw(t, "group"), Member: rapid.Uint64Min(1).Draw(t, "member"), Topic: rapid.String().Draw(t, "topic"), Partition: 4,
		}
		if n.Op == histories.Assigned {
			n.Committed = rapid.Bool().Draw(t, "committed")
		}
		if n.Op == histories.Assigned || n.Op == histories.Processed {
			n.Offset = offsets.Draw(t, "offset")
		}
		return n
	}
	if rapid.Bool().Draw(t, "retention") {
		return histories.Note{Op: histories.Retention, Topic: rapid.String().Draw(t, "topic")}
	}
	n := histories.Note{Op: histories.Leader, Topic: rapid.String().Draw(t, "topic"), Term: api.Term(rapid.Uint64().Draw(t, "term")), Node: 3}
	if n.Topic != "" {
		n.Partition = 4
	}
	return n
}

// What can be read can be written, and reads the same again.
func FuzzRead(f *testing.F) {
	for _, line := range documentedLines(f) {
		f.Add([]byte(line))
	}
	f.Add([]byte(sendLine + sentLine))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := histories.Read(bytes.NewReader(b)); err == nil {
			readBack(t, h)
			if err := h.WriteEDN(&bytes.Buffer{}); err != nil {
				t.Error(err)
			}
		}
	})
}

// The op maps of Jepsen, as the documentation of WriteEDN shows them.
func TestEDN(t *testing.T) {
	var h histories.History
	r := histories.NewRecorder(h.Append)
	a, b := r.NewProcess(), r.NewProcess()
	r.Invoke(1, a, histories.Call{Op: histories.Produce, Topic: "t", Partition: 2, Values: []histories.Value{17, 18}})
	r.Ok(2, a, histories.Answer{Offset: 34})
	r.Invoke(3, b, histories.Call{Op: histories.Fetch, Topic: "s", Offset: 1})
	r.Ok(4, b, histories.Answer{Records: []histories.Record{{Offset: 1, Value: 5}, {Offset: 2, Value: 6}}})
	r.Invoke(5, a, histories.Call{Op: histories.Produce, Topic: "t", Partition: 2, Values: []histories.Value{19}})
	r.Fail(6, a, api.Code_NOT_LEADER)
	r.Invoke(7, b, histories.Call{Op: histories.ListOffsets, Topic: "t", Partition: 2})
	r.Ok(8, b, histories.Answer{Offset: 36})
	r.Invoke(9, b, histories.Call{Op: histories.DeleteRecords, Topic: "t", Partition: 2, Offset: 4})
	r.Info(9, b, api.Code_TIMED_OUT)
	r.Invoke(9, a, histories.Call{Op: histories.InitProducer})
	r.Ok(9, a, histories.Answer{Producer: 4})
	r.Invoke(9, a, histories.Call{Op: histories.CreateTopic, Topic: "u"})
	r.Invoke(9, r.NewProcess(), histories.Call{Op: histories.Commit, Group: "g", Member: 7, Offsets: []histories.GroupOffset{{Topic: "t", Partition: 2, Offset: 36}}})
	c := r.NewProcess()
	r.Invoke(9, c, histories.Call{Op: histories.FetchOffset, Group: "g", Topic: "t", Partition: 2})
	r.Ok(9, c, histories.Answer{Offset: 36})
	r.Note(9, histories.Note{Op: histories.Assigned, Group: "g", Member: 7, Topic: "t", Partition: 2, Offset: 34, Committed: true})
	r.Note(9, histories.Note{Op: histories.Processed, Group: "g", Member: 7, Topic: "t", Partition: 2, Offset: 36})
	r.Note(9, histories.Note{Op: histories.Lost, Group: "g", Member: 7, Topic: "t", Partition: 2})
	r.Note(9, histories.Note{Op: histories.Retention, Topic: "t"})
	r.Note(9, histories.Note{Op: histories.Fault, Name: "crash", Target: "node 1", Phase: histories.Begin})
	r.Note(9, histories.Note{Op: histories.Leader, Topic: "t", Partition: 2, Term: 3, Node: 1})
	want := strings.TrimPrefix(`
{:index 0, :time 1, :type :invoke, :process 0, :f :send, :value [[:send 1 17] [:send 1 18]]}
{:index 1, :time 2, :type :ok, :process 0, :f :send, :value [[:send 1 [34 17]] [:send 1 [35 18]]]}
{:index 2, :time 3, :type :invoke, :process 1, :f :poll, :value [[:poll]]}
{:index 3, :time 4, :type :ok, :process 1, :f :poll, :value [[:poll {0 [[1 5] [2 6]]}]]}
{:index 4, :time 5, :type :invoke, :process 0, :f :send, :value [[:send 1 19]]}
{:index 5, :time 6, :type :fail, :process 0, :f :send, :value [[:send 1 19]], :error :NOT_LEADER}
{:index 6, :time 7, :type :invoke, :process 1, :f :list_offsets, :value {1 nil}}
{:index 7, :time 8, :type :ok, :process 1, :f :list_offsets, :value {1 36}}
{:index 8, :time 9, :type :invoke, :process 1, :f :delete_records, :value {1 nil}}
{:index 9, :time 9, :type :info, :process 1, :f :delete_records, :value {1 nil}, :error :TIMED_OUT}
{:index 10, :time 9, :type :invoke, :process 0, :f :init_producer, :value [0 0]}
{:index 11, :time 9, :type :ok, :process 0, :f :init_producer, :value [4 0]}
{:index 12, :time 9, :type :invoke, :process 0, :f :create_topic, :value "u"}
{:index 13, :time 9, :type :invoke, :process 2, :f :commit, :value {:group "g", :member 7, :offsets [["t" 2 36]]}}
{:index 14, :time 9, :type :invoke, :process 3, :f :fetch_offset, :value {:group "g", :topic "t", :partition 2}}
{:index 15, :time 9, :type :ok, :process 3, :f :fetch_offset, :value {:group "g", :topic "t", :partition 2, :offset 36}}
{:index 16, :time 9, :type :info, :process :nemesis, :f :assigned, :value {:group "g", :member 7, :topic "t", :partition 2, :offset 34, :committed true}}
{:index 17, :time 9, :type :info, :process :nemesis, :f :processed, :value {:group "g", :member 7, :topic "t", :partition 2, :offset 36}}
{:index 18, :time 9, :type :info, :process :nemesis, :f :lost, :value {:group "g", :member 7, :topic "t", :partition 2}}
{:index 19, :time 9, :type :info, :process :nemesis, :f :retention, :value {:topic "t"}}
{:index 20, :time 9, :type :info, :process :nemesis, :f :fault, :value {:name "crash", :target "node 1", :phase :begin}}
{:index 21, :time 9, :type :info, :process :nemesis, :f :leader, :value {:topic "t", :partition 2, :term 3, :node 1}}
`, "\n")
	var got bytes.Buffer
	if err := h.WriteEDN(&got); err != nil {
		t.Fatal(err)
	}
	if got.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", &got, want)
	}
}

// documentedLines gives the example lines of the package doc.
func documentedLines(t testing.TB) []string {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, line := range strings.Split(string(doc), "\n") {
		if line, ok := strings.CutPrefix(line, "//\t{"); ok {
			lines = append(lines, "{"+line)
		}
	}
	return lines
}
