package domain_test

import (
	"math"
	"testing"

	"parley/internal/domain"
)

func TestParseMoney(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		amount, currency string
		want             domain.Money
		text             string
	}{
		{"-0.00750", "USD", domain.Money{Micros: -7500, Currency: "USD"}, "-0.007500 USD"}, // as Twilio writes it
		{"-0.0000", "usd", domain.Money{Micros: 0, Currency: "USD"}, "0.000000 USD"},
		{"0", "EUR", domain.Money{Micros: 0, Currency: "EUR"}, "0.000000 EUR"},
		{"0.1", "EUR", domain.Money{Micros: 100_000, Currency: "EUR"}, "0.100000 EUR"}, // which no float is
		{"0.000001", "EUR", domain.Money{Micros: 1, Currency: "EUR"}, "0.000001 EUR"},
		{"0.0000010000", "EUR", domain.Money{Micros: 1, Currency: "EUR"}, "0.000001 EUR"},
		{"12345.678901", "jpy", domain.Money{Micros: 12_345_678_901, Currency: "JPY"}, "12345.678901 JPY"},
		{"007", "EUR", domain.Money{Micros: 7_000_000, Currency: "EUR"}, "7.000000 EUR"},
		{"9223372036854.775807", "EUR", domain.Money{Micros: math.MaxInt64, Currency: "EUR"}, "9223372036854.775807 EUR"},
	} {
		got, err := domain.ParseMoney(c.amount, c.currency)
		if err != nil || got != c.want || got.String() != c.text {
			t.Errorf("%q %q: got %v, %v, want %s", c.amount, c.currency, got, err, c.text)
		}
	}
	for _, wrong := range [][2]string{
		{"", "USD"}, {"-", "USD"}, {".5", "USD"}, {"1.", "USD"}, {"0.0000001", "USD"}, {"1e3", "USD"}, {"+1", "USD"}, {" 1", "USD"}, {"1,5", "USD"},
		{"--1", "USD"}, {"1.2.3", "USD"}, {"1.-2", "USD"}, {"٣", "USD"}, {"9223372036854.775808", "USD"},
		{"1", ""}, {"1", "US"}, {"1", "USDT"}, {"1", "U$D"}, {"1", "éur"},
	} {
		if got, err := domain.ParseMoney(wrong[0], wrong[1]); domain.KindOf(err) != domain.KindInvalid {
			t.Errorf("%q: got %v, %v", wrong, got, err)
		}
	}
	if got := (domain.Money{Micros: math.MinInt64, Currency: "EUR"}).String(); got != "-9223372036854.775808 EUR" {
		t.Errorf("got %s", got)
	}
}

func TestModelPrice(t *testing.T) {
	t.Parallel()
	price, err := domain.ParseModelPrice("0.15", "0.6", "usd")
	if err != nil {
		t.Fatal(err)
	}
	dear, err := domain.ParseModelPrice("1000", "1000", "EUR")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		price         domain.ModelPrice
		input, output int
		want          string
	}{
		{price, 1_000_000, 0, "0.150000 USD"},
		{price, 0, 1_000_000, "0.600000 USD"},
		{price, 11, 7, "0.000006 USD"}, // 1.65 + 4.2 micro-units: rounded once
		{price, 3, 0, "0.000000 USD"},  // 0.45
		{price, 10, 0, "0.000002 USD"}, // 1.5
		{price, -1, 0, "0.000000 USD"},
		{dear, math.MaxInt32, math.MaxInt32, "4294967.294000 EUR"},
		{dear, math.MaxInt, 0, "2147483.647000 EUR"},
	} {
		if got := c.price.Cost(c.input, c.output); got.String() != c.want {
			t.Errorf("%d and %d tokens: got %s, want %s", c.input, c.output, got, c.want)
		}
	}
	for _, wrong := range [][3]string{{"-1", "1", "USD"}, {"1", "-1", "USD"}, {"1000.000001", "1", "USD"}, {"1", "", "USD"}, {"", "1", "USD"}, {"1", "1", ""}} {
		if got, err := domain.ParseModelPrice(wrong[0], wrong[1], wrong[2]); domain.KindOf(err) != domain.KindInvalid {
			t.Errorf("%q: got %v, %v", wrong, got, err)
		}
	}
}
