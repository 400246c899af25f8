// Sends JSON lines from standard input with go-lumber, the client inside Filebeat: window after window, until all are acknowledged.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"sync"

	v2 "github.com/elastic/go-lumber/client/v2"
)

func main() {
	address := flag.String("address", "", "where to send")
	window := flag.Int("window", 2048, "events in a window")
	level := flag.Int("compression", 3, "0 to 9, Filebeat's default is 3")
	inflight := flag.Int("inflight", 0, "windows on their way at once; 0: the synchronous client")
	flag.Parse()

	events := read()
	options := []v2.Option{v2.CompressionLevel(*level)}
	var acknowledged int
	if *inflight == 0 {
		acknowledged = oneByOne(*address, options, windows(events, *window))
	} else {
		acknowledged = pipelined(*address, options, *inflight, windows(events, *window))
	}
	fmt.Println(acknowledged)
	if acknowledged != len(events) {
		os.Exit(1)
	}
}

func read() []interface{} {
	var events []interface{}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		events = append(events, json.RawMessage(append([]byte(nil), lines.Bytes()...)))
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
	return events
}

func windows(events []interface{}, size int) [][]interface{} {
	var all [][]interface{}
	for len(events) > size {
		all = append(all, events[:size])
		events = events[size:]
	}
	return append(all, events)
}

func oneByOne(address string, options []v2.Option, all [][]interface{}) int {
	client, err := v2.SyncDial(address, options...)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	acknowledged := 0
	for _, window := range all {
		count, err := client.Send(window)
		acknowledged += count
		if err != nil {
			log.Print(err)
			break
		}
	}
	return acknowledged
}

func pipelined(address string, options []v2.Option, inflight int, all [][]interface{}) int {
	client, err := v2.AsyncDial(address, inflight, options...)
	if err != nil {
		log.Fatal(err)
	}
	var mutex sync.Mutex
	var waiting sync.WaitGroup
	acknowledged := 0
	for _, window := range all {
		waiting.Add(1)
		done := func(count uint32, err error) {
			mutex.Lock()
			acknowledged += int(count)
			mutex.Unlock()
			if err != nil {
				log.Print(err)
			}
			waiting.Done()
		}
		if err := client.Send(done, window); err != nil {
			break
		}
	}
	waiting.Wait()
	client.Close()
	return acknowledged
}
