//! Words of which invented people are made.
//!
//! Nobody real is meant: names are drawn from frequent ones at random, telephone numbers begin with a 0 where none is
//! ever assigned, mail goes to domains that are reserved for examples (RFC 2606 and JPRS), addresses are in blocks
//! that no city has under these names, and IMEIs carry the prefix for test devices.

use super::random::Random;

/// Characters, reading, and Latin letters.
type Name = (&'static str, &'static str, &'static str);

const FAMILY: &[Name] = &[
    ("佐藤", "サトウ", "sato"),
    ("鈴木", "スズキ", "suzuki"),
    ("高橋", "タカハシ", "takahashi"),
    ("田中", "タナカ", "tanaka"),
    ("伊藤", "イトウ", "ito"),
    ("渡辺", "ワタナベ", "watanabe"),
    ("山本", "ヤマモト", "yamamoto"),
    ("中村", "ナカムラ", "nakamura"),
    ("小林", "コバヤシ", "kobayashi"),
    ("加藤", "カトウ", "kato"),
    ("吉田", "ヨシダ", "yoshida"),
    ("山田", "ヤマダ", "yamada"),
    ("佐々木", "ササキ", "sasaki"),
    ("山口", "ヤマグチ", "yamaguchi"),
    ("松本", "マツモト", "matsumoto"),
    ("井上", "イノウエ", "inoue"),
    ("木村", "キムラ", "kimura"),
    ("林", "ハヤシ", "hayashi"),
    ("斎藤", "サイトウ", "saito"),
    ("清水", "シミズ", "shimizu"),
    ("山崎", "ヤマザキ", "yamazaki"),
    ("森", "モリ", "mori"),
    ("池田", "イケダ", "ikeda"),
    ("橋本", "ハシモト", "hashimoto"),
    ("阿部", "アベ", "abe"),
    ("石川", "イシカワ", "ishikawa"),
    ("小川", "オガワ", "ogawa"),
    ("前田", "マエダ", "maeda"),
    ("岡田", "オカダ", "okada"),
    ("長谷川", "ハセガワ", "hasegawa"),
    ("藤田", "フジタ", "fujita"),
    ("後藤", "ゴトウ", "goto"),
    ("近藤", "コンドウ", "kondo"),
    ("村上", "ムラカミ", "murakami"),
    ("遠藤", "エンドウ", "endo"),
    ("青木", "アオキ", "aoki"),
    ("坂本", "サカモト", "sakamoto"),
    ("西村", "ニシムラ", "nishimura"),
    ("比嘉", "ヒガ", "higa"),
    ("五十嵐", "イガラシ", "igarashi"),
];

const FEMALE: &[Name] = &[
    ("美咲", "ミサキ", "misaki"),
    ("陽菜", "ヒナ", "hina"),
    ("葵", "アオイ", "aoi"),
    ("結衣", "ユイ", "yui"),
    ("さくら", "サクラ", "sakura"),
    ("恵子", "ケイコ", "keiko"),
    ("由美子", "ユミコ", "yumiko"),
    ("智子", "トモコ", "tomoko"),
    ("直美", "ナオミ", "naomi"),
    ("彩", "アヤ", "aya"),
    ("麻衣", "マイ", "mai"),
    ("千尋", "チヒロ", "chihiro"),
    ("真由美", "マユミ", "mayumi"),
    ("久美子", "クミコ", "kumiko"),
    ("ひかり", "ヒカリ", "hikari"),
    ("凛", "リン", "rin"),
];

const MALE: &[Name] = &[
    ("翔太", "ショウタ", "shota"),
    ("大輔", "ダイスケ", "daisuke"),
    ("健一", "ケンイチ", "kenichi"),
    ("蓮", "レン", "ren"),
    ("陽翔", "ハルト", "haruto"),
    ("拓也", "タクヤ", "takuya"),
    ("浩", "ヒロシ", "hiroshi"),
    ("誠", "マコト", "makoto"),
    ("悠斗", "ユウト", "yuto"),
    ("直樹", "ナオキ", "naoki"),
    ("隆", "タカシ", "takashi"),
    ("哲也", "テツヤ", "tetsuya"),
    ("和也", "カズヤ", "kazuya"),
    ("修", "オサム", "osamu"),
    ("学", "マナブ", "manabu"),
    ("光", "ヒカル", "hikaru"),
];

const DOMAINS: &[&str] = &["example.jp", "mail.example.jp", "example.com", "example.net", "post.example.org"];

/// First digits of the postal code, prefecture, city, and the telephone's area code.
const CITIES: &[(&str, &str, &str, &str)] = &[
    ("160", "東京都", "新宿区", "03"),
    ("154", "東京都", "世田谷区", "03"),
    ("135", "東京都", "江東区", "03"),
    ("130", "東京都", "墨田区", "03"),
    ("190", "東京都", "立川市", "042"),
    ("231", "神奈川県", "横浜市中区", "045"),
    ("212", "神奈川県", "川崎市幸区", "044"),
    ("330", "埼玉県", "さいたま市大宮区", "048"),
    ("260", "千葉県", "千葉市中央区", "043"),
    ("530", "大阪府", "大阪市北区", "06"),
    ("542", "大阪府", "大阪市中央区", "06"),
    ("604", "京都府", "京都市中京区", "075"),
    ("650", "兵庫県", "神戸市中央区", "078"),
    ("460", "愛知県", "名古屋市中区", "052"),
    ("060", "北海道", "札幌市中央区", "011"),
    ("980", "宮城県", "仙台市青葉区", "022"),
    ("950", "新潟県", "新潟市中央区", "025"),
    ("920", "石川県", "金沢市", "076"),
    ("730", "広島県", "広島市中区", "082"),
    ("790", "愛媛県", "松山市", "089"),
    ("812", "福岡県", "福岡市博多区", "092"),
    ("860", "熊本県", "熊本市中央区", "096"),
    ("900", "沖縄県", "那覇市", "098"),
];

const BLOCKS: &[&str] = &["さくら坂", "夕凪町", "月見台", "若葉通", "千代ヶ丘", "風見町", "花園東", "緑陽台"];

const BUILDINGS: &[&str] = &["さくらハイツ", "メゾン若葉", "コーポ夕凪", "グリーンコート月見", "パレス風見"];

pub struct Person {
    pub full_name: String,
    pub kana: String,
    /// Of the mail address, before the number that makes it unique.
    latin: String,
    pub gender: &'static str,
}

pub struct Address {
    pub postal_code: String,
    pub prefecture: &'static str,
    pub city: &'static str,
    pub street: String,
    pub building: Option<String>,
    area_code: &'static str,
}

pub fn person(random: &mut Random) -> Person {
    let gender = random.pick(&["female", "male"]);
    let family = random.pick(FAMILY);
    let given = random.pick(if gender == "female" { FEMALE } else { MALE });
    Person {
        full_name: format!("{} {}", family.0, given.0),
        kana: format!("{} {}", family.1, given.1),
        latin: format!("{}.{}", given.2, family.2),
        gender,
    }
}

impl Person {
    pub fn email(&self, number: u32, random: &mut Random) -> String {
        format!("{}{number}@{}", self.latin, random.pick(DOMAINS))
    }
}

pub fn address(random: &mut Random) -> Address {
    let (postal_code, prefecture, city, area_code) = random.pick(CITIES);
    let (block, part, house) = (random.between(1, 6), random.between(1, 30), random.between(1, 20));
    let building = random.pick(BUILDINGS);
    let room = random.between(1, 9) * 100 + random.between(1, 12);
    Address {
        postal_code: format!("{postal_code}-{:04}", random.below(10_000)),
        prefecture,
        city,
        street: format!("{}{block}丁目{part}-{house}", random.pick(BLOCKS)),
        building: random.percent(55).then(|| format!("{building}{room}号室")),
        area_code,
    }
}

impl Address {
    /// On one line, as an invoice has it.
    pub fn line(&self) -> String {
        let building = self.building.as_deref().unwrap_or_default();
        format!("〒{} {}{}{} {building}", self.postal_code, self.prefecture, self.city, self.street)
            .trim_end()
            .to_owned()
    }

    /// The company divides the country at the middle.
    pub fn sales_region(&self) -> &'static str {
        match self.prefecture {
            "北海道" | "宮城県" | "新潟県" | "東京都" | "神奈川県" | "埼玉県" | "千葉県" => {
                "東日本"
            }
            _ => "西日本",
        }
    }

    /// A landline's number: it begins with 0 after the area code, as none does.
    pub fn landline(&self, random: &mut Random) -> String {
        let digits = 10 - self.area_code.len() - 4;
        let width = digits - 1;
        let first = random.below(10_u32.pow(u32::try_from(width).unwrap_or(0)));
        format!("{}-0{first:0width$}-{:04}", self.area_code, random.below(10_000))
    }
}

/// A mobile number that nobody has: the digit after 070, 080 or 090 is never 0.
pub fn mobile(random: &mut Random) -> String {
    let prefix = random.pick(&["070", "080", "090", "090"]);
    format!("{prefix}-0{:03}-{:04}", random.below(1000), random.below(10_000))
}

/// From the blocks that are reserved for documentation (RFC 5737, RFC 3849).
pub fn ip_address(random: &mut Random) -> String {
    match random.below(10) {
        0..3 => {
            format!("2001:db8:{:x}:{:x}::{:x}", random.below(65_536), random.below(65_536), random.between(1, 65_535))
        }
        block => {
            let network = ["192.0.2", "198.51.100", "203.0.113"][block as usize % 3];
            format!("{network}.{}", random.between(1, 254))
        }
    }
}

/// With the reporting body 00, which is for test devices.
pub fn imei(number: u32) -> String {
    let digits = format!("0044010{number:07}");
    let check = check_digit(&digits);
    format!("{digits}{check}")
}

/// Luhn's, for an even number of digits before it.
fn check_digit(digits: &str) -> u32 {
    let weighted =
        digits.bytes().zip([1, 2].into_iter().cycle()).map(|(digit, weight)| u32::from(digit - b'0') * weight);
    let sum: u32 = weighted.map(|product| product / 10 + product % 10).sum();
    (10 - sum % 10) % 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_form_of_real_ones_and_are_never_assigned() {
        let random = &mut Random::new(1);
        for _ in 0..1000 {
            let phone = mobile(random);
            assert_eq!((phone.len(), &phone[3..5]), (13, "-0"), "{phone}");
            let landline = address(random).landline(random);
            let digits = landline.bytes().filter(u8::is_ascii_digit).count();
            assert_eq!((digits, landline.split('-').nth(1).map(|part| &part[..1])), (10, Some("0")), "{landline}");
            assert!(ip_address(random).parse::<std::net::IpAddr>().is_ok());
        }
    }

    #[test]
    fn an_imei_ends_with_its_check_digit() {
        assert_eq!(check_digit("49015420323751"), 8);
        assert_eq!(imei(1).len(), 15);
    }
}
