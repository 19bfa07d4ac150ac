"""Writes a line for each identifier: [library, field, calling code, text, what the library makes of it].

The last is null where the library refuses the text. A phone number of a country comes from phonenumbers, the port of
Google's libphonenumber; a calling code is given where the text is written as at home.
"""

import json

import phonenumbers
from facebook_business.adobjects.serverside.normalize import Normalize
from google.ads.datamanager_util.format import Formatter

DIGEST = "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514"

TEXTS = {
    "em": [
        "taro@example.com", " Taro.Yamada+shop@Example.COM\n", "太郎@example.jp", "a@b.c", "nobody", "n/a", "@example.com", "",
        DIGEST, DIGEST.upper(),
    ],
    "ph": [
        "+81 90-1234-5678", "0081 90 1234 5678", "1 (650) 561-1111", "+1(650)5611111", "090-1234-5678", "+44 844 412 4653",
        "unknown", DIGEST,
    ],
    "zp": ["100-0001", " 94 035 ", "37224-1234", "ABC 123", "1000001", "M1 1AE"],
    "ct": ["San Francisco", " 東京 ", "Saint-Denis", "London", "Washington D.C.", "Köln"],
    "st": [" New South Wales", "CA", "東京都", "N.Y."],
    "country": ["US", " jp ", "Nowhere", "xx"],
    "fn": ["Taro ", "太郎", "MARY", "René"],
    "ln": [" Yamada", "山田", "Müller"],
    "fi": ["Taro", "太郎"],
    "dobd": ["1", "31", "32", "0", "x"],
    "dobm": ["1", "12", "13"],
    "doby": ["1985", "85"],
}

GOOGLE = {
    "email": (
        "format_email_address",
        ["taro@example.com", " Taro.Yamada+shop@Gmail.COM ", "a.b.c@googlemail.com", "t.aro+x@example.com", "x@", "@x",
         "a b@example.com", "a@b@c", "...@gmail.com", "nobody", ""],
    ),
    "phone": ("format_phone_number", ["+81 90-1234-5678", "+1 (650) 555-0100", "+442079460000", "unknown"]),
    "given_name": ("format_given_name", [" Taro ", "太郎", " "]),
    "postal_code": ("format_postal_code", [" 100-0001 ", " "]),
    "region_code": ("format_region_code", [" jp ", "jpn", "US"]),
}


def write(*line):
    print(json.dumps(line, ensure_ascii=False))


def made_by(function, *arguments):
    try:
        return function(*arguments)
    except (ValueError, TypeError):
        return None


def main():
    for field, texts in TEXTS.items():
        for text in texts:
            write("facebook_business", field, None, text, made_by(Normalize.normalize_field_skip_hashing, field, text))
    for field, (function, texts) in GOOGLE.items():
        for text in texts:
            write("google-ads-datamanager-util", field, None, text, made_by(getattr(Formatter(), function), text))
    kinds = [phonenumbers.PhoneNumberType.FIXED_LINE, phonenumbers.PhoneNumberType.MOBILE]
    for code in sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE):
        region = phonenumbers.region_code_for_country_code(code)
        if region == "001":
            continue
        for kind in kinds:
            number = phonenumbers.example_number_for_type(region, kind)
            if number is None:
                continue
            complete = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:]
            home = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
            abroad = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
            digits = "".join(letter for letter in home if letter.isdigit())
            for given, text in [(str(code), home), (str(code), digits), (None, abroad), (None, "00" + complete)]:
                write("phonenumbers", "phone", given, text, complete)


main()
