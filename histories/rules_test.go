package histories_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/histories"
)

const (
	sendLine = `{"index":0,"time":5,"process":0,"kind":"invoke","op":"produce","topic":"t","partition":0,"values":[1],"acks":"all"}` + "\n"
	sentLine = `{"index":1,"time":6,"process":0,"kind":"ok","op":"produce","offset":0,"log_start":0}` + "\n"
)

// A bad line is refused by its number, with what is wrong with it.
func TestBadLines(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"\n", "line 1: not a JSON object"},
		{"null\n", "line 1: not a JSON object"},
		{`{"index":0`, "line 1: not a JSON object"},
		{`{"index":0}`, `line 1: field "time" is missing`},
		{strings.Replace(sendLine, `"index":0`, `"index":1`, 1), "line 1: index is 1 and should be 0"},
		{strings.Replace(sendLine, `"index":0`, `"index":-1`, 1), `line 1: field "index" is -1 and should be an integer from 0`},
		{strings.Replace(sendLine, `"index":0`, `"index":0.5`, 1), `line 1: field "index" is 0.5 and should be an integer`},
		{strings.Replace(sendLine, `"invoke"`, `"begin"`, 1), `line 1: field "kind" is "begin" and should be one of`},
		{strings.Replace(sendLine, `"produce"`, `"poll"`, 1), `line 1: field "op" is "poll" and should be one of`},
		{strings.Replace(sendLine, `"t"`, `7`, 1), `line 1: field "topic" is 7 and should be a string`},
		{strings.Replace(sendLine, `[1]`, `[]`, 1), `line 1: field "values" is [] and should be a list of at least one integer`},
		{strings.Replace(sendLine, `"t"`, `"a:\\\":{"`, 1) + sendLine, "line 2: index is 0 and should be 1"},
		{strings.Replace(sendLine, `[1]`, `[1,null]`, 1), `line 1: field "values" is [1,null] and should be a list of at least one integer`},
		{strings.Replace(sendLine, `"acks"`, `"times":[null],"acks"`, 1), `line 1: field "times" is [null] and should be a list of as many integers`},
		{strings.Replace(sendLine, `"acks"`, `"partition":1,"acks"`, 1), `line 1: a field stands there twice`},
		{`{"index":0,"time":5,"process":0,"kind":"invoke","op":"commit","group":"g","offsets":[["t",0,null]]}`, `line 1: field "offsets" is [["t",0,null]] and should be`},
		{strings.Replace(sendLine, `"acks"`, `"sequence":4,"acks"`, 1), `line 1: field "sequence" should be left out here`},
		{strings.Replace(sendLine, `"acks"`, `"final":true,"acks"`, 1), `line 1: field "final" does not belong to invoke produce`},
		{strings.Replace(sendLine, `"acks"`, `"producer":4,"acks"`, 1), `line 1: field "epoch" is missing`},
		{strings.Replace(sendLine, `"process":0`, `"process":-1`, 1), "line 1: process -1 cannot have an event invoke produce"},
		{sentLine, "line 1: index is 1 and should be 0"},
		{strings.Replace(sentLine, `"index":1`, `"index":0`, 1), "line 1: process 0 completes produce, which it did not invoke"},
		{sendLine + strings.Replace(sendLine, `"index":0`, `"index":1`, 1), "line 2: process 0 invokes produce while its produce is under way"},
		{sendLine + strings.Replace(sentLine, `"time":6`, `"time":4`, 1), "line 2: time goes back from 5 to 4"},
		{sendLine + `{"index":1,"time":6,"process":0,"kind":"ok","op":"delete_topic"}`, "line 2: process 0 completes delete_topic while its produce is under way"},
		{sendLine + `{"index":1,"time":6,"process":0,"kind":"fail","op":"produce","error":"OK"}`, `line 2: field "error" is "OK" and should be the name of an error code`},
		{sendLine + `{"index":1,"time":6,"process":0,"kind":"fail","op":"produce","error":"NOT_LEADER","records":[]}`, "line 2: process 0 cannot have an event fail produce"},
		{sendLine + `{"index":1,"time":6,"process":0,"kind":"info","op":"produce","error":"TIMED_OUT"}` + "\n" +
			strings.Replace(sendLine, `"index":0,"time":5`, `"index":2,"time":7`, 1), "line 3: process 0 acts again after an operation of unknown outcome"},
		{`{"index":0,"time":0,"process":0,"kind":"note","op":"leader","term":1,"node":1}`, "line 1: process 0 cannot have an event note leader"},
		{strings.Repeat("x", histories.MaxLine+1), "line 1: longer than"},
	} {
		_, err := histories.Read(strings.NewReader(c.text))
		if !errors.Is(err, histories.ErrMalformed) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.200s\ngives: %v\nwant:  %s", c.text, err, c.want)
		}
	}
}

// Operations have their answers; what is unknown has no deadline.
func TestOperations(t *testing.T) {
	var h histories.History
	r := histories.NewRecorder(h.Append)
	a, b, c := r.NewProcess(), r.NewProcess(), r.NewProcess()
	r.Invoke(1, a, histories.Call{Op: histories.Produce, Topic: "t", Values: []histories.Value{1}})
	r.Invoke(2, b, histories.Call{Op: histories.Fetch, Topic: "t"})
	r.Note(2, histories.Note{Op: histories.Fault, Name: "crash", Target: "node 1"})
	r.Ok(3, a, histories.Answer{Offset: 7})
	r.FailedFetch(4, b, api.Code_OFFSET_OUT_OF_RANGE, histories.Answer{HighWatermark: 8, LogStart: 3})
	r.Invoke(5, a, histories.Call{Op: histories.DeleteTopic, Topic: "t"})
	r.Invoke(5, c, histories.Call{Op: histories.DeleteTopic, Topic: "t"})
	r.Info(6, a, api.Code_TIMED_OUT)
	operations, err := h.Operations()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range operations {
		got = append(got, fmt.Sprint(o.Process, o.Call.Op, o.Invoked, o.Outcome, o.Completed == histories.Never, o.Deadline() == histories.Never, o.Code))
	}
	want := []string{
		"0 produce 0 ok false false OK",
		"1 fetch 1 fail false false OFFSET_OUT_OF_RANGE",
		"0 delete_topic 5 info false true TIMED_OUT",
		"2 delete_topic 6 info true true DISCONNECTED",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if len(h.Notes()) != 1 || r.Len() != 8 {
		t.Errorf("%d notes of %d events", len(h.Notes()), r.Len())
	}
	readBack(t, &h)
}

// A recorder holds its callers to the rules.
func TestRecorderPanics(t *testing.T) {
	send := histories.Call{Op: histories.Produce, Topic: "t", Values: []histories.Value{1}}
	for name, wrong := range map[string]func(r *histories.Recorder, p histories.Process){
		"unknown process":   func(r *histories.Recorder, p histories.Process) { r.Invoke(0, p+1, send) },
		"two at once":       func(r *histories.Recorder, p histories.Process) { r.Invoke(0, p, send); r.Invoke(0, p, send) },
		"nothing under way": func(r *histories.Recorder, p histories.Process) { r.Ok(0, p, histories.Answer{}) },
		"after info": func(r *histories.Recorder, p histories.Process) {
			r.Invoke(0, p, send)
			r.Info(0, p, api.Code_TIMED_OUT)
			r.Invoke(0, p, send)
		},
		"time goes back": func(r *histories.Recorder, p histories.Process) {
			r.Invoke(1, p, send)
			r.Ok(0, p, histories.Answer{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			r := histories.NewRecorder(func(histories.Event) {})
			wrong(r, r.NewProcess())
		})
	}
}

// A payload gives its record back, and every changed byte of it shows.
func TestPayload(t *testing.T) {
	for _, size := range []int{0, histories.MinPayload, 100} {
		b := histories.Payload(77, size)
		if len(b) != max(size, histories.MinPayload) {
			t.Errorf("payload of %d bytes for %d", len(b), size)
		}
		if r := histories.ParsePayload(3, b); r != (histories.Record{Offset: 3, Value: 77}) {
			t.Errorf("parsed %+v", r)
		}
		for i := range b {
			b[i] ^= 1
			if !histories.ParsePayload(3, b).Corrupt {
				t.Errorf("byte %d changed and nobody noticed", i)
			}
			b[i] ^= 1
		}
	}
	if r := histories.ParsePayload(3, nil); !r.Corrupt || r.Value != histories.Unreadable {
		t.Errorf("parsed %+v from nothing", r)
	}
}

// readBack writes a history, reads it and compares what is written then.
func readBack(t interface{ Fatal(...any) }, h *histories.History) {
	var first, second bytes.Buffer
	if err := h.Write(&first); err != nil {
		t.Fatal(err)
	}
	again, err := histories.Read(bytes.NewReader(first.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Write(&second); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Fatal(fmt.Sprintf("written:\n%s\nread back:\n%s", first.Bytes(), second.Bytes()))
	}
}
