//! The clock against a calendar that is walked day by day.

use super::*;
use jiff::civil::date;
use proptest::prelude::*;
use std::sync::LazyLock;

const DAY: CountedFrom = CountedFrom { anchor: Anchor::Day, plus: None };

fn period(years: u16, months: u16, days: u32) -> Period {
    Period { years, months, days }
}

fn always(period: Period) -> PeriodChoice {
    PeriodChoice { default: period, when: Vec::new() }
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

/// A calendar that knows nothing but how long the months are. Days are indexes into it.
struct Walk(Vec<(i16, i8, i8)>);

static WALK: LazyLock<Walk> = LazyLock::new(|| {
    let mut days = Vec::new();
    for year in 1890..2290_i16 {
        let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        for (month, length) in (1..).zip(lengths) {
            days.extend((1..=length).map(|day| (year, month, day)));
        }
    }
    Walk(days)
});

impl Walk {
    fn index(&self, date: Date) -> usize {
        self.0.binary_search(&(date.year(), date.month(), date.day())).unwrap()
    }

    fn date(&self, index: usize) -> Date {
        let (year, month, day) = self.0[index];
        date(year, month, day)
    }

    fn is_last_of_month(&self, index: usize) -> bool {
        self.0[index].1 != self.0[index + 1].1
    }

    /// Arts. 140-143, by walking: day after day from the first counted one.
    fn end_of_period(&self, start: usize, period: Period) -> usize {
        let mut today = start;
        let mut months = u32::from(period.years) * 12 + u32::from(period.months);
        if months > 0 {
            today += 1; // the first day is not counted
            let corresponding = self.0[today].2;
            while months > 0 {
                months -= u32::from(self.is_last_of_month(today));
                today += 1;
            }
            // The first day of the month in which the period ends.
            while self.0[today].2 != corresponding && !self.is_last_of_month(today) {
                today += 1;
            }
            if self.0[today].2 == corresponding {
                today -= 1;
            }
        }
        for _ in 0..period.days {
            today += 1;
        }
        today
    }

    fn anchor(&self, start: usize, anchor: Anchor) -> usize {
        let is_anchor = |day: usize| match anchor {
            Anchor::Day => true,
            Anchor::MonthEnd => self.is_last_of_month(day),
            Anchor::CalendarYearEnd => (self.0[day].1, self.0[day].2) == (12, 31),
            Anchor::FiscalYearEnd { month: 2, day: 28 | 29 } => self.0[day].1 == 2 && self.is_last_of_month(day),
            Anchor::FiscalYearEnd { month, day: last } => (self.0[day].1, self.0[day].2) == (month, last),
        };
        (start..).find(|day| is_anchor(*day)).unwrap()
    }

    fn due_from(&self, start: usize, counted_from: &CountedFrom, period: Period) -> usize {
        let anchor = self.anchor(start, counted_from.anchor);
        let counted = counted_from.plus.map_or(anchor, |plus| self.end_of_period(anchor, plus));
        self.end_of_period(counted, period) + 1
    }
}

fn dates(years: std::ops::Range<i16>) -> impl Strategy<Value = Date> {
    let edges = prop_oneof![
        4 => (1_i8..=12, 1_i8..=31),
        1 => Just((2, 28)),
        1 => Just((2, 29)),
        1 => Just((3, 31)),
        1 => Just((12, 31)),
    ];
    (years, edges).prop_map(|(year, (month, day))| {
        let first = date(year, month, 1);
        date(year, month, day.min(first.days_in_month()))
    })
}

fn periods() -> impl Strategy<Value = Period> {
    prop_oneof![
        (0_u16..=10, 0_u16..=14, 0_u32..=40),
        (0_u16..=10, Just(0), Just(0)),
        (Just(0), 0_u16..=30, Just(0)),
        (Just(0), Just(0), 0_u32..=800),
    ]
    .prop_map(|(years, months, days)| period(years, months, days))
}

fn anchors() -> impl Strategy<Value = CountedFrom> {
    let fiscal_year_end = prop::sample::select(vec![(3, 31), (2, 28), (2, 29), (9, 30), (1, 1), (12, 31), (6, 15)])
        .prop_map(|(month, day)| Anchor::FiscalYearEnd { month, day });
    let anchor = prop_oneof![
        2 => Just(Anchor::Day),
        1 => Just(Anchor::MonthEnd),
        1 => Just(Anchor::CalendarYearEnd),
        3 => fiscal_year_end,
    ];
    let plus = prop::option::of((0_u16..=1, 0_u16..=3, 0_u32..=20).prop_map(|(y, m, d)| period(y, m, d)));
    (anchor, plus).prop_map(|(anchor, plus)| CountedFrom { anchor, plus })
}

#[test]
fn the_first_day_is_not_counted() {
    let due = |start, period| due_from(start, &DAY, period);
    assert_eq!(due(date(2021, 3, 31), period(5, 0, 0)), date(2026, 4, 1));
    assert_eq!(due(date(2021, 8, 19), period(5, 0, 0)), date(2026, 8, 20));
    assert_eq!(due(date(2021, 8, 19), period(0, 0, 0)), date(2021, 8, 20), "not on the day itself");
    assert_eq!(due(date(2021, 8, 19), period(0, 0, 90)), date(2021, 11, 18));
    assert_eq!(due(date(2021, 12, 31), period(0, 0, 1)), date(2022, 1, 2));
}

#[test]
fn where_there_is_no_corresponding_day_the_month_ends_the_period() {
    assert_eq!(end_of_period(date(2024, 2, 28), period(1, 0, 0)), date(2025, 2, 28));
    assert_eq!(end_of_period(date(2024, 2, 29), period(1, 0, 0)), date(2025, 2, 28));
    assert_eq!(end_of_period(date(2023, 2, 28), period(1, 0, 0)), date(2024, 2, 29));
    assert_eq!(end_of_period(date(2021, 1, 30), period(0, 1, 0)), date(2021, 2, 28));
    assert_eq!(end_of_period(date(2021, 1, 29), period(0, 1, 0)), date(2021, 2, 28));
    assert_eq!(end_of_period(date(2021, 1, 26), period(0, 1, 0)), date(2021, 2, 26));
    assert_eq!(end_of_period(date(2020, 12, 31), period(0, 14, 3)), date(2022, 3, 3));
}

#[test]
fn days_are_counted_from_anchors() {
    let fiscal = |month, day| Anchor::FiscalYearEnd { month, day };
    let counted = |start, anchor, plus| counted_day(start, &CountedFrom { anchor, plus });
    assert_eq!(counted(date(2021, 1, 10), Anchor::MonthEnd, None), date(2021, 1, 31));
    assert_eq!(counted(date(2021, 1, 10), Anchor::CalendarYearEnd, None), date(2021, 12, 31));
    assert_eq!(counted(date(2021, 3, 31), fiscal(3, 31), None), date(2021, 3, 31));
    assert_eq!(counted(date(2021, 4, 1), fiscal(3, 31), None), date(2022, 3, 31));
    assert_eq!(counted(date(2021, 2, 1), fiscal(3, 31), Some(period(0, 2, 0))), date(2021, 5, 31));
    for last in [28, 29] {
        assert_eq!(counted(date(2024, 2, 29), fiscal(2, last), None), date(2024, 2, 29));
        assert_eq!(counted(date(2024, 3, 1), fiscal(2, last), None), date(2025, 2, 28));
    }
    // Tax return of the fiscal year to 2021-03-31, filed by 05-31, kept for seven years.
    let filing = CountedFrom { anchor: fiscal(3, 31), plus: Some(period(0, 2, 0)) };
    assert_eq!(due_from(date(2020, 4, 1), &filing, period(7, 0, 0)), date(2028, 6, 1));
}

#[test]
fn a_loss_year_is_kept_longer() {
    let choice = PeriodChoice {
        default: period(7, 0, 0),
        when: vec![(Switch::FiscalYearEndingIn("loss_years".into()), period(10, 0, 0))],
    };
    let loss_years = Parameter::Days(vec![date(2015, 3, 31), date(2017, 3, 31)]);
    let parameters = Parameters::from([("loss_years".into(), loss_years)]);
    let days = due_days(&DAY, &choice, &parameters, date(2026, 11, 22));
    // The loss year 2015 is over its ten years too, so it joins its neighbours; of 2017 the beginning is.
    let first = DayRange { from: None, through: date(2016, 11, 21) };
    let second = DayRange { from: Some(date(2017, 4, 1)), through: date(2019, 11, 21) };
    assert_eq!(days.ranges, [first, second]);
    assert_eq!(
        explain(&days, &DAY, &choice, &parameters, &zone("Asia/Tokyo")),
        "starting points through 2016-11-21, 2017-04-01 through 2019-11-21 (7 years, or 10 years in the fiscal years \
         ending 2015-03-31, 2017-03-31, first day not counted; Asia/Tokyo)"
    );
    let until = until(date(2016, 11, 22), &DAY, &choice, Some(&always(period(7, 6, 0))), &parameters);
    let (due, overdue) = (date(2026, 11, 23), Some(date(2024, 5, 23)));
    assert_eq!(until, Until { counted_from: date(2016, 11, 22), due, overdue });
}

#[test]
fn the_first_switch_that_is_on_wins() {
    let choice = PeriodChoice {
        default: period(0, 0, 1),
        when: vec![
            (Switch::Parameter("off".into()), period(1, 0, 0)),
            (Switch::Parameter("undeclared".into()), period(2, 0, 0)),
            (Switch::Parameter("on".into()), period(3, 0, 0)),
            (Switch::FiscalYearEndingIn("years".into()), period(4, 0, 0)),
        ],
    };
    let parameters = Parameters::from([
        ("off".into(), Parameter::Flag(false)),
        ("on".into(), Parameter::Flag(true)),
        ("years".into(), Parameter::Days(vec![date(2020, 3, 31)])),
    ]);
    assert_eq!(period_on(date(2020, 1, 1), &choice, &parameters), period(3, 0, 0));
    let days = due_days(&DAY, &choice, &parameters, date(2026, 1, 1));
    assert_eq!(days.ranges, [DayRange { from: None, through: date(2022, 12, 31) }]);
    assert_eq!(
        explain(&days, &DAY, &choice, &parameters, &zone("Asia/Tokyo")),
        "starting points through 2022-12-31 (3 years as on is on, first day not counted; Asia/Tokyo)"
    );
}

#[test]
fn words_say_what_is_counted() {
    let say = |counted_from: &CountedFrom, period, today| {
        let (choice, none) = (always(period), Parameters::new());
        explain(&due_days(counted_from, &choice, &none, today), counted_from, &choice, &none, &zone("Asia/Tokyo"))
    };
    assert_eq!(
        say(&DAY, period(5, 0, 0), date(2026, 8, 20)),
        "starting points through 2021-08-19 (5 years, first day not counted; Asia/Tokyo)"
    );
    let filing = CountedFrom { anchor: Anchor::FiscalYearEnd { month: 3, day: 31 }, plus: Some(period(0, 2, 0)) };
    assert_eq!(
        say(&filing, period(7, 0, 0), date(2028, 6, 1)),
        "starting points through 2021-03-31 (7 years from the end of the fiscal year (03-31) plus 2 months, first day \
         not counted; Asia/Tokyo)"
    );
    assert_eq!(
        say(&DAY, period(5000, 0, 0), date(2026, 8, 20)),
        "no starting points yet (5000 years, first day not counted; Asia/Tokyo)"
    );
}

#[test]
fn the_calendar_ends_quietly() {
    let huge = Period { years: u16::MAX, months: u16::MAX, days: u32::MAX };
    for start in [Date::MIN, date(0, 1, 1), date(2021, 3, 31), date(9999, 12, 30), Date::MAX] {
        for anchor in [Anchor::Day, Anchor::MonthEnd, Anchor::FiscalYearEnd { month: 3, day: 31 }] {
            let counted_from = CountedFrom { anchor, plus: Some(huge) };
            assert_eq!(due_from(start, &counted_from, huge), Date::MAX);
            let none = due_days(&counted_from, &always(huge), &Parameters::new(), Date::MAX);
            assert_eq!(none, DueDays::default(), "never due is not the same as due on the last day");
        }
        let days = due_days(&DAY, &always(Period::default()), &Parameters::new(), start);
        for name in ["Asia/Tokyo", "Pacific/Apia", "America/Los_Angeles"] {
            for kind in [PointKind::Date, PointKind::Instant, PointKind::DateTime, PointKind::EpochSeconds] {
                days.cutoffs(kind, &zone(name), &TimeZone::UTC);
            }
            start_of_day(start, &zone(name));
        }
    }
    let years = Parameters::from([("years".into(), Parameter::Days(vec![Date::MIN, Date::MAX]))]);
    let choice = PeriodChoice {
        default: Period::default(),
        when: vec![(Switch::FiscalYearEndingIn("years".into()), Period::default())],
    };
    let all = due_days(&DAY, &choice, &years, Date::MAX);
    assert_eq!(all.ranges, [DayRange { from: None, through: date(9999, 12, 30) }]);
}

#[test]
fn days_begin_where_the_clocks_say() {
    let begin = |year, month, day, name| start_of_day(date(year, month, day), &zone(name)).to_string();
    assert_eq!(begin(2026, 8, 20, "Asia/Tokyo"), "2026-08-19T15:00:00Z");
    assert_eq!(begin(2015, 10, 18, "America/Sao_Paulo"), "2015-10-18T03:00:00Z", "00:00 was skipped");
    assert_eq!(begin(2022, 3, 27, "Asia/Beirut"), "2022-03-26T22:00:00Z", "00:00 was skipped");
    assert_eq!(begin(2011, 12, 30, "Pacific/Apia"), "2011-12-30T10:00:00Z", "the day was skipped");
    assert_eq!(begin(2011, 12, 31, "Pacific/Apia"), "2011-12-30T10:00:00Z");
    assert_eq!(begin(1919, 3, 31, "America/Toronto"), "1919-03-31T04:30:00Z", "23:30 to 00:30 was skipped");
    assert_eq!(begin(2010, 11, 7, "America/St_Johns"), "2010-11-07T02:30:00Z", "00:00 came twice");
}

#[test]
fn bounds_are_written_as_the_column_holds_them() {
    let days = due_days(&DAY, &always(period(5, 0, 0)), &Parameters::new(), date(2026, 8, 20));
    let (tokyo, utc) = (zone("Asia/Tokyo"), TimeZone::UTC);
    let before = |kind, column_zone| {
        let cutoffs = days.cutoffs(kind, &tokyo, column_zone);
        assert_eq!((cutoffs.ranges.len(), &cutoffs.ranges[0].from), (1, &None));
        cutoffs.ranges[0].before.clone()
    };
    assert_eq!(before(PointKind::Date, &tokyo), "2021-08-20");
    assert_eq!(before(PointKind::Date, &utc), "2021-08-20", "a date has no zone");
    assert_eq!(before(PointKind::DateTime, &tokyo), "2021-08-20 00:00:00");
    assert_eq!(before(PointKind::DateTime, &utc), "2021-08-19 15:00:00");
    assert_eq!(before(PointKind::Instant, &tokyo), "2021-08-19 15:00:00");
    assert_eq!(before(PointKind::IsoTextWithOffset, &tokyo), "2021-08-19 15:00:00");
    assert_eq!(before(PointKind::EpochSeconds, &tokyo), "1629385200");
    assert_eq!(before(PointKind::EpochMilliseconds, &tokyo), "1629385200000");
    assert_eq!(before(PointKind::IsoText, &tokyo), "2021-08-20");
    assert_eq!(before(PointKind::IsoText, &utc), "2021-08-19 15:00:00");
    let beirut = zone("Asia/Beirut");
    let days = DueDays { ranges: vec![DayRange { from: None, through: date(2022, 3, 26) }] };
    let skipped = days.cutoffs(PointKind::DateTime, &beirut, &beirut);
    assert_eq!(skipped.ranges[0].before, "2022-03-27 00:00:00", "whatever bears the next day's date is not due");
    // All three forms of text, compared as bytes.
    let bound = before(PointKind::IsoText, &tokyo);
    for text in ["2021-08-19", "2021-08-19 23:59:59.9", "2021-08-19T23:59:59"] {
        assert!(text < bound.as_str(), "{text}");
    }
    for text in ["2021-08-20", "2021-08-20 00:00:00", "2021-08-20T00:00:00"] {
        assert!(text >= bound.as_str(), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn due_dates_are_those_of_the_walked_calendar(
        start in dates(1900..2200),
        counted_from in anchors(),
        period in periods(),
    ) {
        let expected = WALK.due_from(WALK.index(start), &counted_from, period);
        prop_assert_eq!(due_from(start, &counted_from, period), WALK.date(expected));
    }

    #[test]
    fn a_later_start_is_never_due_earlier(
        start in dates(1900..2200),
        days in 0_i32..60,
        counted_from in anchors(),
        period in periods(),
    ) {
        let later = start.saturating_add(Span::new().days(days));
        prop_assert!(due_from(start, &counted_from, period) <= due_from(later, &counted_from, period));
        prop_assert!(due_from(start, &counted_from, period) > start);
    }

    #[test]
    fn nothing_panics(
        start in (-9999_i16..=9999, 1_i8..=12, 1_i8..=28),
        today in (-9999_i16..=9999, 1_i8..=12, 1_i8..=28),
        (month, day) in (any::<i8>(), any::<i8>()),
        (years, months, days) in any::<(u16, u16, u32)>(),
        plus in prop::option::of(any::<(u16, u16, u32)>()),
    ) {
        let plus = plus.map(|(years, months, days)| Period { years, months, days });
        let counted_from = CountedFrom { anchor: Anchor::FiscalYearEnd { month, day }, plus };
        let (start, today) = (date(start.0, start.1, start.2), date(today.0, today.1, today.2));
        let choice = PeriodChoice {
            default: Period { years, months, days },
            when: vec![(Switch::FiscalYearEndingIn("years".into()), Period { years: 0, months, days })],
        };
        let parameters = Parameters::from([("years".into(), Parameter::Days(vec![start, today]))]);
        due_days(&counted_from, &choice, &parameters, today);
        until(start, &counted_from, &choice, Some(&choice), &parameters);
    }
}

/// Fiscal years that end near one another, with two lists of them and a flag.
fn choices() -> impl Strategy<Value = (PeriodChoice, Parameters)> {
    let years = || {
        let end = prop::sample::select(vec![(3, 31), (2, 28), (2, 29), (12, 31), (9, 30)]);
        (prop::collection::vec(1995_i16..2010, 0..4), end).prop_map(|(years, (month, day))| {
            let last = |year| date(year, month, i8::min(day, date(year, month, 1).days_in_month()));
            Parameter::Days(years.into_iter().map(last).collect())
        })
    };
    let switch = prop_oneof![
        3 => Just(Switch::FiscalYearEndingIn("first".into())),
        3 => Just(Switch::FiscalYearEndingIn("second".into())),
        1 => Just(Switch::Parameter("flag".into())),
    ];
    let when = prop::collection::vec((switch, periods()), 0..4);
    (periods(), when, years(), years(), any::<bool>()).prop_map(|(default, when, first, second, flag)| {
        let parameters = [("first", first), ("second", second), ("flag", Parameter::Flag(flag))];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value));
        (PeriodChoice { default, when }, Parameters::from(parameters))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn due_days_are_the_days_whose_due_date_has_come(
        (choice, parameters) in choices(),
        counted_from in anchors(),
        today in dates(1996..2016),
    ) {
        let days = due_days(&counted_from, &choice, &parameters, today);
        for pair in days.ranges.windows(2) {
            prop_assert!(Some(pair[0].through.tomorrow().unwrap()) < pair[1].from, "{:?}", days);
        }
        let today = WALK.index(today);
        let mut anchors = BTreeMap::new();
        for start in WALK.index(date(1990, 1, 1))..WALK.index(date(2017, 1, 1)) {
            // The fiscal year that a day lies in, by walking to the next of its last days.
            let mut in_fiscal_year = |name: &String| {
                let Some(Parameter::Days(last_days)) = parameters.get(name) else { return false };
                last_days.iter().any(|last| {
                    let anchor = Anchor::FiscalYearEnd { month: last.month(), day: last.day() };
                    let end = anchors.entry((last.month(), last.day())).or_insert(0);
                    if *end < start {
                        *end = WALK.anchor(start, anchor);
                    }
                    let (year, month, _) = WALK.0[*end];
                    (year, month) == (last.year(), last.month())
                })
            };
            let period = choice.when.iter().find(|(switch, _)| match switch {
                Switch::Parameter(name) => parameters[name] == Parameter::Flag(true),
                Switch::FiscalYearEndingIn(name) => in_fiscal_year(name),
            });
            let period = period.map_or(choice.default, |(_, period)| *period);
            let expected = WALK.due_from(start, &counted_from, period) <= today;
            prop_assert_eq!(days.contains(WALK.date(start)), expected, "{}: {:?}", WALK.date(start), days);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_instant_is_within_bounds_when_its_day_is_due(
        job_zone in prop::sample::select(ZONES),
        column_zone in prop::sample::select(ZONES),
        today in dates(1996..2026),
        choice in choices(),
        near in 0_usize..8,
        minutes in -3000_i64..3000,
    ) {
        let (job_zone, column_zone) = (zone(job_zone), zone(column_zone));
        let days = due_days(&DAY, &choice.0, &choice.1, today);
        let edges: Vec<_> = days.ranges.iter().flat_map(|range| range.from.into_iter().chain([range.through])).collect();
        let edge = edges.get(near).copied().unwrap_or(today);
        let instant = start_of_day(edge, &job_zone) + jiff::SignedDuration::from_mins(minutes);
        let expected = days.contains(super::today(instant, &job_zone));

        let within = |kind, value: &str| {
            let inside = |range: &CutoffRange| {
                range.from.as_ref().is_none_or(|from| from.as_str() <= value) && value < range.before.as_str()
            };
            days.cutoffs(kind, &job_zone, &column_zone).ranges.iter().any(inside)
        };
        let number = |kind, value: i64| {
            let parse = |text: &String| text.parse::<i64>().unwrap();
            let inside = |range: &CutoffRange| {
                range.from.as_ref().is_none_or(|from| parse(from) <= value) && value < parse(&range.before)
            };
            days.cutoffs(kind, &job_zone, &column_zone).ranges.iter().any(inside)
        };
        let utc = civil_text(TimeZone::UTC.to_datetime(instant));
        prop_assert_eq!(within(PointKind::Instant, &utc), expected);
        prop_assert_eq!(within(PointKind::IsoTextWithOffset, &utc), expected);
        prop_assert_eq!(number(PointKind::EpochSeconds, instant.as_second()), expected);
        prop_assert_eq!(number(PointKind::EpochMilliseconds, instant.as_millisecond() + 999), expected);

        // A civil time that two instants share belongs to the earlier, so only the others can be asked.
        let civil = column_zone.to_datetime(instant);
        if !column_zone.to_ambiguous_timestamp(civil).is_ambiguous() {
            prop_assert_eq!(within(PointKind::DateTime, &civil_text(civil)), expected);
            prop_assert_eq!(within(PointKind::IsoText, &civil_text(civil)), expected);
        }
        prop_assert_eq!(within(PointKind::Date, &edge.to_string()), days.contains(edge));
    }

    #[test]
    fn days_follow_one_another(name in prop::sample::select(ZONES), day in dates(1900..2200)) {
        let zone = zone(name);
        let (begin, end) = (start_of_day(day, &zone), start_of_day(day.tomorrow().unwrap(), &zone));
        let nanosecond = jiff::SignedDuration::from_nanos(1);
        prop_assert!(super::today(begin - nanosecond, &zone) < day);
        if begin == end {
            prop_assert_eq!((name, day), ("Pacific/Apia", date(2011, 12, 30)));
        } else {
            prop_assert_eq!(super::today(begin, &zone), day);
            prop_assert_eq!(super::today(end - nanosecond, &zone), day);
        }
    }
}

const ZONES: &[&str] = &["Asia/Tokyo", "Europe/Berlin", "America/Sao_Paulo", "Asia/Beirut", "Pacific/Apia", "UTC"];
